/* Command lines that may be pasted into a shell, whatever a client has sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/reproduce.h"

#include <cmocka.h>

static const struct field fields[] = {
    {{"authorization", 13}, {"Bearer secret", 13}},
    {{"content-type", 12}, {"application/json", 16}},
    {{"cookie", 6}, {"a=secret", 8}},
};

static struct http_request request(const char *method, const char *path, const char *query,
                                   struct slice body)
{
    return (struct http_request){
        .method = slice_of(method),
        .path = slice_of(path),
        .has_query = query != NULL,
        .query = slice_of(query),
        .host = SLICE("localhost:8000"),
        .headers = fields,
        .header_count = ARRAY_LEN(fields),
        .body = body,
    };
}

static void words_are_quoted_for_a_shell(void **state)
{
    static const struct {
        const char *word;
        const char *quoted;
    } cases[] = {
        {"plain-1.py", "plain-1.py"},
        {"", "''"},
        {"a b", "'a b'"},
        {"it's", "'it'\\''s'"},
        {"$(rm -rf ~)`x`", "'$(rm -rf ~)`x`'"},
        {"a\nb", "'a\nb'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        reproduce_quote(&out, slice_of(cases[i].word));
        assert_string_equal(buf_cstr(&out), cases[i].quoted);
        buf_deinit(&out);
    }
}

static void curl_gets_method_type_and_body(void **state)
{
    static const struct {
        const char *method, *path, *query, *body, *line;
    } cases[] = {
        {"GET", "/fib", NULL, "", "curl -i http://localhost:8000/fib"},
        {"GET", "/fib", "num=1&x", "", "curl -i 'http://localhost:8000/fib?num=1&x'"},
        {"DELETE", "/x", "", "", "curl -i -X DELETE 'http://localhost:8000/x?'"},
        {"HEAD", "/x", NULL, "", "curl -i --head http://localhost:8000/x"},
        {"GET", "/x", "a[]=1", "", "curl -i --globoff 'http://localhost:8000/x?a[]=1'"},
        {"POST", "/x", NULL, "{\"a\":1}",
         "curl -i http://localhost:8000/x -H 'Content-Type: application/json' "
         "--data-binary '{\"a\":1}'"},
        {"POST", "/x", NULL, "\x01",
         "curl -i http://localhost:8000/x -H 'Content-Type: application/json' "
         "--data-binary @BODY"},
        {"POST", "/x", NULL, "@/etc/passwd",
         "curl -i http://localhost:8000/x -H 'Content-Type: application/json' "
         "--data-binary @BODY"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        struct http_request req =
            request(cases[i].method, cases[i].path, cases[i].query, slice_of(cases[i].body));
        reproduce_by_curl(&out, &req);
        assert_string_equal(buf_cstr(&out), cases[i].line);
        assert_null(strstr(out.ptr, "secret"));
        buf_deinit(&out);
    }
}

static void a_program_gets_one_line_by_hand(void **state)
{
    const char *argv[] = {"/app/.venv/bin/python", "/app/workers/my fib.py", NULL};
    struct worker_config python = {.script = argv[1], .command = {argv, 2}};
    struct worker_config shell = {.script = "/app/hello.sh", .command = {argv + 1, 1}};
    struct http_request get = request("GET", "/fib", "num=1", (struct slice){0});
    struct http_request post = request("POST", "/fib", NULL, SLICE("a \"b\""));
    struct http_request binary = request("POST", "/fib", NULL, SLICE("\xff"));
    struct buf out = {0};
    (void)state;
    get.header_count = 0;
    assert_true(reproduce_by_hand(&out, &get, &python, "/app", "PYTHONPATH=/app/.nodey/a b"));
    assert_string_equal(
        buf_cstr(&out),
        "echo '{\"id\":1,\"method\":\"GET\",\"path\":\"/fib\",\"query\":\"num=1\"}' "
        "| PYTHONPATH='.nodey/a b' .venv/bin/python 'workers/my fib.py'");
    buf_clear(&out);
    assert_true(reproduce_by_hand(&out, &post, &shell, "/app", NULL));
    assert_string_equal(buf_cstr(&out),
                        "printf '%s\\n' '{\"id\":1,\"method\":\"POST\",\"path\":\"/fib\","
                        "\"headers\":{\"content-type\":\"application/json\"},"
                        "\"body\":\"a \\\"b\\\"\"}' | ./hello.sh");
    buf_clear(&out);
    assert_false(reproduce_by_hand(&out, &binary, &shell, "/app", NULL));
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_quoted_for_a_shell),
        cmocka_unit_test(curl_gets_method_type_and_body),
        cmocka_unit_test(a_program_gets_one_line_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
