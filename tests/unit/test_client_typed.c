/* What a person types, as a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "client/typed.h"

#include <cmocka.h>

static const struct {
    const char *text;
    const char *method, *target, *body; /* body: NULL where none may be typed */
} good[] = {
    {"GET /fib?num=10", "GET", "/fib?num=10", NULL},
    {"  GET   /fib  ", "GET", "/fib", NULL},
    {"/fib", NULL, "/fib", NULL},
    {"get /fib", "GET", "/fib", NULL},
    {"M-SEARCH /", "M-SEARCH", "/", NULL},
    {"DELETE", "DELETE", NULL, NULL},
    {"GET /a b", "GET", "/a%20b", NULL},
    {"GET /a {\"b\":1}", "GET", "/a%20%7B%22b%22:1%7D", NULL},
    {"POST /a {\"b\": [1, 2]}", "POST", "/a", "{\"b\": [1, 2]}"},
    {"POST /a b [1]", "POST", "/a%20b", "[1]"},
    {"/a \"text\"", NULL, "/a", "\"text\""},
    {"/a?q={x}", NULL, "/a?q=%7Bx%7D", ""},
    {"/%41/\xc3\xa4", NULL, "/%41/%C3%A4", ""},
    {"GET /a\r\nX: y", "GET", "/a%0D%0AX:%20y", NULL},
};

static void what_is_typed_becomes_a_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena arena = {0};
        struct typed typed;
        struct err err;
        struct slice text = slice_of(good[i].text);
        assert_int_equal(typed_read(&typed, &arena, text, good[i].body != NULL, &err), 0);
        if (good[i].method)
            assert_string_equal(typed.method, good[i].method);
        else
            assert_null(typed.method);
        if (good[i].target)
            assert_string_equal(typed.target, good[i].target);
        else
            assert_null(typed.target);
        assert_true(slice_is(typed.body, good[i].body ? good[i].body : ""));
        arena_deinit(&arena);
    }
}

static void what_is_no_request_is_told_how_to_be_one(void **state)
{
    static const char *const bad[] = {"",        "fib?num=1",     "get", "GET fib",
                                      "GE7 /a",  "http://a/b",    "GET", "ask Fib",
                                      "POST {}", "{\"method\":1}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena arena = {0};
        struct typed typed;
        struct err err;
        if (typed_is_method(bad[i])) /* which is enough */
            continue;
        assert_int_equal(typed_read(&typed, &arena, slice_of(bad[i]), true, &err), -1);
        assert_non_null(strstr(err.text, "'GET /path?a=1'"));
        arena_deinit(&arena);
    }
}

static void a_body_says_what_it_is(void **state)
{
    (void)state;
    assert_string_equal(typed_content_type(SLICE("{\"a\":1}")), "application/json");
    assert_string_equal(typed_content_type(SLICE(" [1, 2]\n")), "application/json");
    assert_string_equal(typed_content_type(SLICE("{a:1}")), "text/plain; charset=utf-8");
    assert_string_equal(typed_content_type(SLICE("1 2")), "text/plain; charset=utf-8");
    assert_string_equal(typed_content_type(SLICE("\xc3\xa4")), "text/plain; charset=utf-8");
    assert_string_equal(typed_content_type(SLICE("\"\xff\"")), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_typed_becomes_a_request),
        cmocka_unit_test(what_is_no_request_is_told_how_to_be_one),
        cmocka_unit_test(a_body_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
