#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/pattern.h"

#include <cmocka.h>

/* "first second; note", or "!" and what is wrong. */
static const char *convert(const char *path)
{
    static char text[512];
    struct arena a = {0};
    struct patterns p;
    const char *why;
    text[0] = '\0';
    if (pattern_from_express(&a, path, &p, &why) < 0)
        snprintf(text, sizeof(text), "!%s", why);
    else
        snprintf(text, sizeof(text), "%s%s%s%s%s", p.items[0], p.count > 1 ? " " : "",
                 p.count > 1 ? p.items[1] : "", p.note ? "; " : "", p.note ? p.note : "");
    arena_deinit(&a);
    return text;
}

#define NOT_KNOWN                                                                              \
    "!only \":name\" for a segment, and \"*\" for all that follows, are understood: write it " \
    "with these, or as several routes"
#define CONDITION "; what stands in \"()\" is no condition here: any segment fits"
#define BELOW     "; it serves this path and all below it, but not what merely begins like it"

static void paths_keep_their_meaning(void **state)
{
    static const struct {
        const char *express, *ours;
    } cases[] = {
        {"/", "/"},
        {"/users", "/users"},
        {"/users/", "/users/"},
        {"/a-b/c.d/%20~", "/a-b/c.d/%20~"},
        {"/users/:id", "/users/:id"},
        {"/:a/x/:b_2", "/:a/x/:b_2"},
        {"/users/:id?", "/users /users/:id"},
        {"/:id?", "/ /:id"},
        {"/users{/:id}", "/users /users/:id"},
        {"{/:id}", "/ /:id"},
        {"/a{/b}", "/a /a/b"},
        {"*", "/*"},
        {"(.*)", "/*"},
        {"/*", "/*"},
        {"/files/*", "/files/*"},
        {"/files/*path", "/files/*path"},
        {"/files/{*path}", "/files/*path"},
        {"/files/(.*)", "/files/*"},
        {"/files/:path*", "/files/*path"},
        {"/files/:path(.*)", "/files/*path"},
        {"/api*", "/api/*" BELOW},
        {"/users/:id(\\d+)", "/users/:id" CONDITION},
        {"/users/:id(\\d+)?", "/users /users/:id" CONDITION},
        {"/users/:id(\\d+)/x", "/users/:id/x" CONDITION},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(convert(cases[i].express), cases[i].ours);
}

static void what_our_router_cannot_do_is_refused(void **state)
{
    static const char *const cases[] = {
        "/ab?cd",     "/ab+cd",    "/a(bc)?d",       "/:a-:b",     "/x:id",
        "/:",         "/:(\\d+)",  "/:id(\\d+",      "/:id?/x",    "/[ab]",
        "/a\\b",      "/a?b=c",    "/a#b",           "/{a}",       "/a{/:b}/c",
        "/a{/b}{/c}", "/a{/b{/c}", "/:x{/:id?}{/y}", "/:a?{/:b?}", "/a{/b?}",
        "/*a-b",      "/a{/:b?}",  "/a(b)*",         "/a{/",       "/a{/b",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(convert(cases[i]), NOT_KNOWN);
    assert_string_equal(convert("/*/x"), "!\"*\" must be its last segment");
    assert_string_equal(convert("/a/(.*)/x"), "!\"*\" must be its last segment");
    assert_string_equal(convert("users"), "!it must begin with \"/\"");
    assert_string_equal(convert(""), "!it must begin with \"/\"");
    assert_string_equal(convert("http://x/"), "!it must begin with \"/\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_keep_their_meaning),
        cmocka_unit_test(what_our_router_cannot_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
