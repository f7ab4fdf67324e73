/* Does a frame agree with what a golden transcript expects? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "client/members.h"
#include "conform/match.h"

#include <cmocka.h>

static bool agrees(const char *expected, const char *actual, struct match_bindings *b)
{
    struct json_value left, right;
    assert_true(members_read(slice_of(expected), &left));
    assert_true(members_read(slice_of(actual), &right));
    return match_frame(&left, &right, b);
}

static const struct {
    const char *expected, *actual;
    bool agrees;
} cases[] = {
    {"{\"id\":1,\"json\":{\"a\":[1,\"b\"]}}", "{\"json\":{\"a\":[1.0,\"\\u0062\"]},\"id\":1}",
     true},
    {"{\"id\":1,\"json\":1}", "{\"id\":1,\"json\":2}", false},
    {"{\"id\":1,\"json\":1}", "{\"id\":2,\"json\":1}", false},
    {"{\"id\":1,\"json\":1}", "{\"id\":1}", false},
    {"{\"id\":1,\"json\":\"1\"}", "{\"id\":1,\"json\":1}", false},
    {"{\"id\":1,\"json\":[1,2]}", "{\"id\":1,\"json\":[1]}", false},
    {"{\"id\":1,\"json\":[1]}", "{\"id\":1,\"json\":[1,2]}", false},
    {"{\"id\":1,\"json\":{}}", "{\"id\":1,\"json\":{\"a\":1}}", false},
    {"{\"id\":1,\"json\":null}", "{\"id\":1,\"json\":false}", false},
    {"{\"id\":null,\"json\":true}", "{\"id\":null,\"json\":true}", true},
    /* What may stand there without having been expected. */
    {"{\"id\":1,\"json\":1}", "{\"id\":1,\"status\":200,\"json\":1}", true},
    {"{\"id\":1,\"json\":1}", "{\"id\":1,\"status\":201,\"json\":1}", false},
    {"{\"id\":1,\"json\":1}",
     "{\"id\":1,\"headers\":{\"content-type\":\"application/json\"},\"json\":1}", true},
    {"{\"id\":1,\"json\":1}", "{\"id\":1,\"headers\":{\"x\":\"y\"},\"json\":1}", false},
    {"{\"id\":1,\"json\":1}", "{\"id\":1,\"other\":1,\"json\":1}", false},
    {"{\"id\":1,\"json\":{\"status\":1}}", "{\"id\":1,\"json\":{\"status\":1,\"x\":200}}",
     false},
    /* Of some frames only what is named counts. */
    {"{\"type\":\"ready\"}", "{\"type\":\"ready\",\"tokens\":[]}", true},
    {"{\"type\":\"error\",\"id\":1}", "{\"type\":\"error\",\"id\":1,\"message\":\"x\"}", true},
    {"{\"type\":\"error\",\"id\":1}", "{\"type\":\"error\",\"id\":2}", false},
    {"{\"type\":\"answer\",\"id\":1}", "{\"type\":\"answer\",\"id\":1,\"value\":2}", false},
    {"{\"type\":\"ready\"}", "{\"id\":1,\"body\":\"\"}", false},
    /* Anything, or nothing at all. */
    {"{\"id\":1,\"timeout\":{\"$any\":true}}", "{\"id\":1,\"timeout\":[{}]}", true},
    {"{\"id\":1,\"timeout\":{\"$any\":true}}", "{\"id\":1}", true},
    {"{\"id\":1}", "[1]", false},
};

static void frames_are_compared_as_the_vectors_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct match_bindings b = {0};
        bool found = agrees(cases[i].expected, cases[i].actual, &b);
        if (found != cases[i].agrees)
            fail_msg("%s and %s", cases[i].expected, cases[i].actual);
        arena_deinit(&b.arena);
    }
}

static void what_was_met_is_filled_in_later(void **state)
{
    struct match_bindings b = {0};
    struct buf line = {0};
    (void)state;
    assert_true(agrees("{\"type\":\"ask\",\"id\":{\"$bind\":\"a\"}}",
                       "{\"type\":\"ask\",\"id\":\"x-1\"}", &b));
    assert_true(agrees("{\"type\":\"ask\",\"id\":{\"$bind\":\"b\"}}",
                       "{\"type\":\"ask\",\"id\":7}", &b));
    assert_false(agrees("{\"type\":\"ask\",\"id\":{\"$bind\":\"c\"}}",
                        "{\"type\":\"ask\",\"id\":null}", &b));
    match_fill_in(SLICE("{\"id\":${a},\"of\":[${b},${b}],\"not\":\"${c} ${\"}"), &b, &line);
    assert_string_equal(buf_cstr(&line), "{\"id\":\"x-1\",\"of\":[7,7],\"not\":\"${c} ${\"}");
    buf_deinit(&line);
    arena_deinit(&b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_compared_as_the_vectors_say),
        cmocka_unit_test(what_was_met_is_filled_in_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
