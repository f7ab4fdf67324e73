/* What is said of a failure, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/failure.h"

#include <cmocka.h>

static void paths_are_cut_to_their_last_part(void **state)
{
    static const struct {
        const char *sentence, *hidden;
    } cases[] = {
        {"cannot be started: /no/such/program: no such file",
         "cannot be started: program: no such file"},
        {"No such file: '/srv/app/data.json'", "No such file: 'data.json'"},
        {"(/srv/app/fib.py, line 3)", "(fib.py, line 3)"},
        {"/srv/app/", "app/"},
        {"killed by signal 9 (Killed)", "killed by signal 9 (Killed)"},
        {"a/b/c and 1/2/3", "a/b/c and 1/2/3"},
        {"/tmp is full", "/tmp is full"},
        {"file:///srv/a.mjs:3", "file:a.mjs:3"},
        {"/", "/"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        failure_hide_paths(&out, slice_of(cases[i].sentence));
        assert_string_equal(buf_cstr(&out), cases[i].hidden);
        buf_deinit(&out);
    }
}

static void every_failure_has_a_title_and_a_reason(void **state)
{
    struct worker_config config = {.name = "fib"};
    struct pool pool = {.config = &config};

    const struct {
        struct failure failure;
        const char *reason;
        const char *title, *what, *next;
    } cases[] = {
        {{.status = 404}, "", "Nothing is served at /fob", "No worker has", "nearest"},
        {{.status = 405, .allow = SLICE("GET, HEAD")},
         "",
         "PUT is not",
         "GET, HEAD",
         "methods"},
        {{.status = 413, .detail = SLICE("larger")}, "", "too large", "larger", "max_body"},
        {{.status = 500,
          .detail = SLICE("E: x\ny"),
          .pool = &pool,
          .raised = true,
          .unmeant = true},
         "",
         "E: x",
         "handler of fib",
         "Correct it"},
        {{.status = 404, .detail = SLICE("no such user"), .pool = &pool, .raised = true},
         "",
         "no such user",
         "itself",
         "what was sent"},
        {{.status = 502, .detail = SLICE("died"), .pool = &pool},
         "",
         "fib gave",
         "died",
         "last"},
        {{.status = 503, .detail = SLICE("worker fib does not start: no X"), .pool = &pool},
         "Traceback",
         "fib does not start",
         "no X",
         "Correct it"},
        {{.status = 503, .detail = SLICE("too many"), .pool = &pool},
         "",
         "no time",
         "too many",
         "instances"},
        {{.status = 504, .detail = SLICE("late"), .pool = &pool},
         "",
         "took too long",
         "late",
         "timeout"},
        {{.status = 400, .detail = SLICE("malformed")}, "", "Bad Request", "malformed", ""},
    };
    const struct http_request req = {.method = SLICE("PUT"), .path = SLICE("/fob")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct explanation words = {0};
        failure_explain(&cases[i].failure,
                        &(struct circumstances){.request = &req,
                                                .reason = slice_of(cases[i].reason),
                                                .any_route = true},
                        &words);
        assert_non_null(strstr(buf_cstr(&words.title), cases[i].title));
        assert_non_null(strstr(buf_cstr(&words.what), cases[i].what));
        assert_non_null(strstr(buf_cstr(&words.next), cases[i].next));
        assert_null(strchr(words.title.ptr, '\n'));
        explanation_deinit(&words);
    }
}

static void without_any_script_it_says_how_to_begin(void **state)
{
    struct explanation words = {0};
    const struct http_request req = {.method = SLICE("GET"), .path = SLICE("/")};
    (void)state;
    failure_explain(&(struct failure){.status = 404}, &(struct circumstances){.request = &req},
                    &words);
    assert_non_null(strstr(buf_cstr(&words.what), "No script is served yet"));
    assert_non_null(strstr(buf_cstr(&words.next), "workers/"));
    explanation_deinit(&words);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_cut_to_their_last_part),
        cmocka_unit_test(every_failure_has_a_title_and_a_reason),
        cmocka_unit_test(without_any_script_it_says_how_to_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
