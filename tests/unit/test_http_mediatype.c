#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/mediatype.h"

#include <cmocka.h>

static void a_file_has_the_type_of_its_extension(void **state)
{
    (void)state;

    static const struct {
        const char *name, *type;
        bool packed;
    } cases[] = {
        {"index.html", "text/html; charset=utf-8", false},
        {"a/b/INDEX.HTML", "text/html; charset=utf-8", false},
        {"app.min.js", "text/javascript; charset=utf-8", false},
        {"m.mjs", "text/javascript; charset=utf-8", false},
        {"style.css", "text/css; charset=utf-8", false},
        {"data.json", "application/json", false},
        {"app.js.map", "application/json", false},
        {"logo.svg", "image/svg+xml; charset=utf-8", false},
        {"site.webmanifest", "application/manifest+json", false},
        {"mod.wasm", "application/wasm", false},
        {"photo.JPG", "image/jpeg", true},
        {"font.woff2", "font/woff2", true},
        {"3gp.3gp", "video/3gpp", true},
        {"x.zst", "application/zstd", true},
        {"x.avif", "image/avif", true},
        {"README", "application/octet-stream", false},
        {"", "application/octet-stream", false},
        {".", "application/octet-stream", false},
        {"a.", "application/octet-stream", false},
        {"a.unheardofextension", "application/octet-stream", false},
        {"a.htmlx", "application/octet-stream", false},
        {"html", "application/octet-stream", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice name = slice_of(cases[i].name);
        if (!slice_is(mediatype_of(name), cases[i].type) ||
            mediatype_is_packed(name) != cases[i].packed)
            fail_msg("%s: " SLICE_FMT, cases[i].name, SLICE_ARG(mediatype_of(name)));
    }
}

static void a_type_fits_a_pattern(void **state)
{
    (void)state;
    static const char *const patterns[] = {"text/*", "application/json", "application/*+json"};

    static const struct {
        const char *type;
        bool fits;
    } cases[] = {
        {"text/html", true},
        {"Text/HTML; charset=utf-8", true},
        {" text/plain ;x", true},
        {"application/json", true},
        {"application/json;charset=x", true},
        {"application/problem+json", true},
        {"application/+json", true},
        {"application/jsonx", false},
        {"application/json+", false},
        {"image/png", false},
        {"text", false},
        {"", false},
        {";", false},
        {"text/event-stream", false},
        {"text/event-stream; charset=utf-8", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (mediatype_fits(slice_of(cases[i].type), patterns, 3) != cases[i].fits)
            fail_msg("%s", cases[i].type);
    assert_true(mediatype_fits(SLICE("text/event-stream"),
                               (const char *const[]){"text/event-stream"}, 1));
    assert_false(mediatype_fits(SLICE("text/html"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_the_type_of_its_extension),
        cmocka_unit_test(a_type_fits_a_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
