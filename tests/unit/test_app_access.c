#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "app/access.h"
#include "base/log.h"
#include "tests/unit/tree.h"

#include <cmocka.h>

/* What access_note() writes for this request. */
static struct buf note(enum access_log kind, const struct http_request *req, unsigned status,
                       uint64_t body_bytes, uint64_t took_us)
{
    struct buf out = {0};
    struct sink sink;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    sink_init(&sink, ends[1]);
    access_note(&(struct access){.kind = kind, .sink = &sink}, req, status, body_bytes,
                took_us);
    close(ends[1]);
    ssize_t n;
    while ((n = read(ends[0], buf_reserve(&out, 4096), 4096)) > 0)
        out.len += (size_t)n;
    close(ends[0]);
    buf_deinit(&sink.held);
    return out;
}

static const struct field headers[] = {
    {SLICE("user-agent"), SLICE("curl/7 \"quoted\"")},
    {SLICE("referer"), SLICE("https://example.org/?a=\\")},
};

static const struct http_request request = {
    .method = SLICE("GET"),
    .path = SLICE("/a%20b"),
    .has_query = true,
    .query = SLICE("x=1"),
    .headers = headers,
    .header_count = ARRAY_LEN(headers),
    .ip = SLICE("203.0.113.9"),
    .id = SLICE("abc-1"),
    .version_minor = 1,
};

static void combined_is_as_apache_writes_it(void **state)
{
    int day, year, hour, minute, second, end = 0;
    char month[4], zone[6];
    (void)state;
    struct buf out = note(ACCESS_COMBINED, &request, 200, 1234, 1500);
    const char *text = buf_cstr(&out);
    assert_int_equal(sscanf(text,
                            "203.0.113.9 - - [%2d/%3s/%4d:%2d:%2d:%2d %5[+-0123456789]]%n",
                            &day, month, &year, &hour, &minute, &second, zone, &end),
                     7);
    assert_true(end > 0);
    assert_string_equal(text + end,
                        " \"GET /a%20b?x=1 HTTP/1.1\" 200 1234 "
                        "\"https://example.org/?a=\\x5c\" \"curl/7 \\x22quoted\\x22\" abc-1\n");
    buf_deinit(&out);
}

static void what_was_not_sent_is_a_dash(void **state)
{
    struct http_request bare = {.method = SLICE("OPTIONS"),
                                .asterisk = true,
                                .path = SLICE("/"),
                                .ip = SLICE("::1"),
                                .id = SLICE("i")};
    (void)state;
    struct buf out = note(ACCESS_COMBINED, &bare, 204, 0, 0);
    assert_non_null(strstr(buf_cstr(&out), "] \"OPTIONS * HTTP/1.0\" 204 0 \"-\" \"-\" i\n"));
    buf_deinit(&out);
}

/* One request is one line, whatever its client sends. */
static void a_client_cannot_forge_a_line(void **state)
{
    static const struct field forged[] = {
        {SLICE("user-agent"), SLICE("x\" 200 0\n1.2.3.4 - - [now] \"GET /\x1b[2J\x7f\xff")}};
    struct http_request req = request;
    (void)state;
    req.headers = forged;
    req.header_count = 1;
    req.query = SLICE("a\"b\rc");
    struct buf out = note(ACCESS_COMBINED, &req, 200, 0, 0);
    assert_ptr_equal(memchr(out.ptr, '\n', out.len), out.ptr + out.len - 1);
    for (size_t i = 0; i + 1 < out.len; i++)
        assert_in_range(out.ptr[i], 0x20, 0x7e);
    assert_non_null(strstr(buf_cstr(&out), "?a\\x22b\\x0dc HTTP/1.1\""));
    buf_deinit(&out);
}

static void json_is_an_object_a_line(void **state)
{
    json_error_t error;
    (void)state;
    struct buf out = note(ACCESS_JSON, &request, 502, 99, 1500);
    assert_int_equal(out.ptr[out.len - 1], '\n');
    json_t *tree = json_loadb(out.ptr, out.len, 0, &error);
    assert_non_null(tree);

    static const struct {
        const char *name, *value;
    } members[] = {
        {"id", "abc-1"},
        {"ip", "203.0.113.9"},
        {"method", "GET"},
        {"path", "/a%20b"},
        {"query", "x=1"},
        {"referer", "https://example.org/?a=\\"},
        {"user_agent", "curl/7 \"quoted\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        assert_string_equal(json_string_value(json_object_get(tree, members[i].name)),
                            members[i].value);
    assert_int_equal(json_integer_value(json_object_get(tree, "status")), 502);
    assert_int_equal(json_integer_value(json_object_get(tree, "bytes")), 99);
    assert_true(json_number_value(json_object_get(tree, "ms")) == 1.5);
    assert_true(json_number_value(json_object_get(tree, "time")) > 1.6e9);
    json_decref(tree);
    buf_deinit(&out);
}

/* ------------------------------------------------------------- for a terminal */

static void keep_line(void *arg, struct slice line)
{
    buf_add(arg, line);
}

/* What is seen behind the time and the name. */
static const char *seen(struct buf *out)
{
    const char *blank = strchr(buf_cstr(out), ' ');
    return blank ? blank + 1 : "";
}

static void at_a_terminal_a_request_is_a_short_line(void **state)
{
    struct buf out = {0};
    struct access a = {.kind = ACCESS_AUTO};
    (void)state;
    log_setup(LOG_INFO, LOG_PRETTY, keep_line, &out);
    access_show(&a, "fib", &request, 200, 1234);
    assert_string_equal(seen(&out), "fib   GET /a%20b?x=1  200  1.2 ms\n");
    buf_clear(&out);
    access_show(&a, "fib", &request, 499, 250 * 1000);
    assert_string_equal(seen(&out), "fib   GET /a%20b?x=1  499  250 ms, the client has left\n");
    buf_clear(&out);
    access_note_refused(&a, SLICE("::1"), &(struct refusal){400, "bad"});
    assert_string_equal(seen(&out), "nodey a request was refused  400  bad\n");
    buf_deinit(&out);
}

static void the_status_has_the_colour_of_its_kind(void **state)
{
    static const struct {
        unsigned status;
        const char *painted;
    } cases[] = {{204, "\x1b[32m204"},
                 {302, "\x1b[36m302"},
                 {404, "\x1b[33m404"},
                 {500, "\x1b[1;31m500"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        log_setup(LOG_INFO, LOG_COLOURED, keep_line, &out);
        access_show(&(struct access){.kind = ACCESS_AUTO}, "fib", &request, cases[i].status, 0);
        assert_non_null(strstr(buf_cstr(&out), cases[i].painted));
        buf_deinit(&out);
    }
}

static void a_client_cannot_paint_over_the_terminal(void **state)
{
    struct buf out = {0};
    struct http_request req = request;
    char path[1000];
    (void)state;
    memset(path, 'a', sizeof(path));
    memcpy(path, "/\x1b[2J\n\xc2\x9b", 8);
    req.path = (struct slice){path, sizeof(path)};
    log_setup(LOG_INFO, LOG_COLOURED, keep_line, &out);
    access_show(&(struct access){.kind = ACCESS_AUTO}, "fib", &req, 200, 0);
    assert_non_null(strstr(buf_cstr(&out), "GET /?[2J???aaa"));
    assert_ptr_equal(memchr(out.ptr, '\n', out.len), out.ptr + out.len - 1);
    assert_true(out.len < 300);
    buf_deinit(&out);
}

static void of_hundreds_in_a_second_one_hundred_is_shown(void **state)
{
    struct buf out = {0};
    struct access a;
    size_t lines = 0;
    long second;
    (void)state;
    log_setup(LOG_INFO, LOG_PRETTY, keep_line, &out);
    do { /* once more, should another second begin in between */
        buf_clear(&out);
        a = (struct access){.kind = ACCESS_AUTO};
        second = (long)time(NULL);
        for (int i = 0; i < 300; i++)
            access_show(&a, "fib", &request, 200, 0);
    } while (second != (long)time(NULL));
    for (size_t i = 0; i < out.len; i++)
        lines += out.ptr[i] == '\n';
    assert_int_equal(lines, ACCESS_SHOWN_MAX);
    buf_clear(&out);
    a.second--; /* and then it is over */
    access_show(&a, "fib", &request, 200, 0);
    assert_non_null(strstr(buf_cstr(&out), "nodey and 200 more requests\n"));
    assert_non_null(strstr(buf_cstr(&out), "  200  0.0 ms\n"));
    buf_deinit(&out);
}

static void without_a_choice_there_are_lines_in_development_alone(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_PRETTY, keep_line, &out);
    assert_int_equal(access_kind(ACCESS_AUTO, true), ACCESS_AUTO);
    assert_int_equal(access_kind(ACCESS_AUTO, false), ACCESS_OFF);
    assert_int_equal(access_kind(ACCESS_OFF, true), ACCESS_OFF);
    assert_int_equal(access_kind(ACCESS_JSON, true), ACCESS_JSON);
    log_setup(LOG_INFO, LOG_PLAIN, keep_line, &out);
    assert_int_equal(access_kind(ACCESS_AUTO, true), ACCESS_OFF);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_a_terminal_a_request_is_a_short_line),
        cmocka_unit_test(the_status_has_the_colour_of_its_kind),
        cmocka_unit_test(a_client_cannot_paint_over_the_terminal),
        cmocka_unit_test(of_hundreds_in_a_second_one_hundred_is_shown),
        cmocka_unit_test(without_a_choice_there_are_lines_in_development_alone),
        cmocka_unit_test(combined_is_as_apache_writes_it),
        cmocka_unit_test(what_was_not_sent_is_a_dash),
        cmocka_unit_test(a_client_cannot_forge_a_line),
        cmocka_unit_test(json_is_an_object_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
