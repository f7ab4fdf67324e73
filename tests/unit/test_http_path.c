#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/path.h"

#include <cmocka.h>

struct resolve_case {
    const char *path;
    const char *want; /* NULL = malformed */
};

static const struct resolve_case resolve_cases[] = {
    {"/", "/"},
    {"/a/b", "/a/b"},
    {"/a/b/", "/a/b/"},
    {"//a//b//", "//a//b//"},
    {"/.", "/"},
    {"/..", "/"},
    {"/a/.", "/a/"},
    {"/a/..", "/"},
    {"/a/b/..", "/a/"},
    {"/a/./b", "/a/b"},
    {"/a/../b", "/b"},
    {"/a/b/../../c", "/c"},
    {"/../../../etc/passwd", "/etc/passwd"},
    {"/a/../../../b", "/b"},
    {"/a//../b", "/a/b"},
    {"//..", "/"},
    {"//../a", "/a"},
    {"/%2e", "/"},
    {"/%2E%2e/a", "/a"},
    {"/a/.%2e/b", "/b"},
    {"/a/%2e./b", "/b"},
    {"/a/%2e/b", "/a/b"},
    {"/...", "/..."},
    {"/a/...", "/a/..."},
    {"/.a", "/.a"},
    {"/..a", "/..a"},
    {"/a../b", "/a../b"},
    {"/a./b", "/a./b"},
    {"/.%2e.", "/.%2e."},
    {"/%2e%2fa", "/%2e%2fa"}, /* an encoded slash separates nothing */
    {"/a%2f..%2fb", "/a%2f..%2fb"},
    {"/%252e%252e/a", "/%252e%252e/a"}, /* decoded once, not twice */
    {"/a%20b", "/a%20b"},
    {"/a\\..\\b", "/a\\..\\b"}, /* a backslash is a letter */
    {"/%", NULL},
    {"/%2", NULL},
    {"/%zz", NULL},
    {"/%2g", NULL},
    {"/a/../%", NULL},
    {"/%00", NULL},
    {"/a%00b", NULL},
    {"/%u0041", NULL},
};

static void dot_segments_are_resolved_once_and_never_above_the_root(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(resolve_cases); i++) {
        const struct resolve_case *c = &resolve_cases[i];
        struct arena arena = {0};
        struct slice out = SLICE("untouched");
        const char *fault = path_resolve(slice_of(c->path), &arena, &out);
        if (!!fault != !c->want || !slice_is(out, c->want ? c->want : "untouched"))
            fail_msg("\"%s\" became \"" SLICE_FMT "\" (%s)", c->path, SLICE_ARG(out),
                     fault ? fault : "fine");
        arena_deinit(&arena);
    }
}

static void resolving_twice_changes_nothing_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(resolve_cases); i++) {
        struct arena arena = {0};
        struct slice once, twice;
        if (!path_resolve(slice_of(resolve_cases[i].path), &arena, &once)) {
            assert_null(path_resolve(once, &arena, &twice));
            assert_true(slice_eq(once, twice));
        }
        arena_deinit(&arena);
    }
}

static void a_piece_is_decoded_to_its_bytes(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct slice out;
    struct slice plain = SLICE("plain");
    assert_true(path_decode(plain, &arena, &out));
    assert_ptr_equal(out.ptr, plain.ptr);
    assert_true(path_decode(SLICE("caf%C3%a9%2F%25"), &arena, &out));
    assert_true(slice_is(out, "caf\xc3\xa9/%"));
    assert_true(path_decode(SLICE(""), &arena, &out));
    assert_int_equal(out.len, 0);
    assert_false(path_decode(SLICE("%"), &arena, &out));
    assert_false(path_decode(SLICE("a%4"), &arena, &out));
    assert_false(path_decode(SLICE("%00"), &arena, &out));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dot_segments_are_resolved_once_and_never_above_the_root),
        cmocka_unit_test(resolving_twice_changes_nothing_more),
        cmocka_unit_test(a_piece_is_decoded_to_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
