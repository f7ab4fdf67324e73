#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/response.h"

#include <cmocka.h>

#define FIELD(name, value)                                                                     \
    {                                                                                          \
        {"" name, sizeof(name) - 1},                                                           \
        {                                                                                      \
            "" value, sizeof(value) - 1                                                        \
        }                                                                                      \
    }

/* With a date and an id that do not change. */
static char *written(const struct http_answer *answer, struct http_framing framing,
                     size_t *body)
{
    struct buf out = {0};
    struct err why;
    framing.date = SLICE("DATE");
    framing.id = SLICE("ID");
    assert_true(response_check(answer, &why));
    *body = response_write(&out, answer, &framing);
    return buf_give(&out);
}

static void assert_written(const struct http_answer *answer, struct http_framing framing,
                           const char *want)
{
    size_t body;
    char *got = written(answer, framing, &body);
    assert_string_equal(got, want);
    assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), body);
    xfree(got);
}

static void an_answer_has_its_own_fields_and_those_of_the_connection(void **state)
{
    (void)state;
    static const struct field headers[] = {
        FIELD("Set-Cookie", "a=1"),
        FIELD("set-cookie", "b=2"),
        FIELD("X-Empty", ""),
    };
    struct http_answer answer = {.status = 200,
                                 .headers = headers,
                                 .header_count = 3,
                                 .content_type = SLICE("text/plain"),
                                 .body = SLICE("hello")};
    assert_written(&answer, (struct http_framing){0},
                   "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty: \r\n"
                   "Content-Type: text/plain\r\nContent-Length: 5\r\nDate: DATE\r\n"
                   "X-Request-Id: ID\r\n\r\nhello");
    assert_written(&answer, (struct http_framing){.close = true, .keep_alive = true},
                   "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty: \r\n"
                   "Content-Type: text/plain\r\nContent-Length: 5\r\nDate: DATE\r\n"
                   "X-Request-Id: ID\r\nConnection: close\r\n\r\nhello");
}

static void what_belongs_to_the_connection_is_not_the_handlers(void **state)
{
    (void)state;
    static const struct field headers[] = {
        FIELD("Connection", "upgrade"),    FIELD("Keep-Alive", "timeout=5"),
        FIELD("Transfer-Encoding", "x"),   FIELD("content-length", "99"),
        FIELD("DATE", "yesterday"),        FIELD("Trailer", "x"),
        FIELD("Upgrade", "h2c"),           FIELD("x-request-id", "mine"),
        FIELD("content-type", "text/csv"),
    };
    struct http_answer answer = {.status = 404,
                                 .reason = SLICE("Gone Fishing"),
                                 .headers = headers,
                                 .header_count = ARRAY_LEN(headers),
                                 .content_type = SLICE("text/plain"),
                                 .body = SLICE("x")};
    assert_written(
        &answer, (struct http_framing){.keep_alive = true},
        "HTTP/1.1 404 Gone Fishing\r\ncontent-type: text/csv\r\nContent-Length: 1\r\n"
        "Date: DATE\r\nX-Request-Id: ID\r\nConnection: keep-alive\r\n\r\nx");
}

struct length_case {
    unsigned status;
    bool to_head;
    const char *given; /* Content-Length of the handler */
    const char *body;
    const char *line; /* what is written; NULL = none */
    size_t sent;
};

static const struct length_case length_cases[] = {
    {200, false, NULL, "", "Content-Length: 0\r\n", 0},
    {200, false, "7", "abc", "Content-Length: 3\r\n", 3},
    {200, true, NULL, "abc", "Content-Length: 3\r\n", 0},
    {200, true, "7", "", "Content-Length: 7\r\n", 0},
    {200, true, "7", "abc", "Content-Length: 3\r\n", 0},
    {200, true, "7x", "", NULL, 0},
    {200, true, NULL, "", NULL, 0},
    {204, false, "3", "abc", NULL, 0},
    {204, true, NULL, "", NULL, 0},
    {205, false, NULL, "abc", "Content-Length: 0\r\n", 0},
    {304, false, "1234", "", "Content-Length: 1234\r\n", 0},
    {304, false, NULL, "abc", "Content-Length: 3\r\n", 0},
    {304, false, NULL, "", NULL, 0},
    {500, false, NULL, "abc", "Content-Length: 3\r\n", 3},
};

static void the_length_is_true_and_a_body_goes_only_where_one_may(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(length_cases); i++) {
        const struct length_case *c = &length_cases[i];
        struct field given = {SLICE("Content-Length"), slice_of(c->given)};
        struct http_answer answer = {.status = c->status,
                                     .headers = &given,
                                     .header_count = c->given ? 1 : 0,
                                     .body = slice_of(c->body)};
        size_t sent;
        char *got = written(&answer, (struct http_framing){.to_head = c->to_head}, &sent);
        bool right = c->line ? strstr(got, c->line) != NULL : !strstr(got, "Content-Length");
        if (!right || sent != c->sent || strlen(strstr(got, "\r\n\r\n") + 4) != sent)
            fail_msg("case %zu:\n%s", i, got);
        xfree(got);
    }
}

static void every_number_has_a_phrase(void **state)
{
    (void)state;
    assert_true(slice_is(http_reason(200), "OK"));
    assert_true(slice_is(http_reason(404), "Not Found"));
    assert_true(slice_is(http_reason(431), "Request Header Fields Too Large"));
    assert_true(slice_is(http_reason(299), "Unknown"));
    assert_true(slice_is(http_reason(0), "Unknown"));
    assert_true(slice_is(http_reason(600), "Unknown"));
    assert_true(slice_is(http_reason(100000), "Unknown"));
}

static void assert_refused(struct http_answer answer, const char *part)
{
    struct err why = {0};
    assert_false(response_check(&answer, &why));
    if (!strstr(why.text, part))
        fail_msg("\"%s\" does not say \"%s\"", why.text, part);
}

static void a_bad_answer_is_refused_before_a_byte_goes_out(void **state)
{
    (void)state;
    static const unsigned statuses[] = {0, 99, 100, 101, 199, 1000};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        assert_refused((struct http_answer){.status = statuses[i]}, "status");
    static const struct field bad_names[] = {
        FIELD("", "x"),    FIELD("a b", "x"),      FIELD("a:", "x"),  FIELD("a\r\nb", "x"),
        FIELD("a\0", "x"), FIELD("\xc3\xa9", "x"), FIELD("(a)", "x"), FIELD(" a", "x"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++)
        assert_refused(
            (struct http_answer){.status = 200, .headers = &bad_names[i], .header_count = 1},
            "field name");
    static const struct field bad_values[] = {
        FIELD("x", "a\r\nSet-Cookie: b=1"),
        FIELD("x", "a\nb"),
        FIELD("x", "a\rb"),
        FIELD("x", "a\0b"),
        FIELD("x", "\n"),
        FIELD("connection", "a\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad_values); i++)
        assert_refused(
            (struct http_answer){.status = 200, .headers = &bad_values[i], .header_count = 1},
            "CR, LF or NUL");
    assert_refused((struct http_answer){.status = 200, .reason = SLICE("a\r\nb")}, "reason");
    assert_refused((struct http_answer){.status = 200, .content_type = SLICE("a\r\nb")},
                   "type");
}

static void obs_text_in_a_value_is_let_through(void **state)
{
    (void)state;
    struct field header = FIELD("X-Name", "caf\xe9\t\xc3\xa9");
    struct http_answer answer = {.status = 200, .headers = &header, .header_count = 1};
    struct err why;
    assert_true(response_check(&answer, &why));
}

static void a_problem_is_json_with_what_is_known(void **state)
{
    (void)state;
    struct buf out = {0};
    response_problem(&out, 404, SLICE("no \"route\""), SLICE("/a"), SLICE("ID"),
                     (struct slice){0});
    assert_string_equal(
        buf_cstr(&out),
        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
        "\"detail\":\"no \\\"route\\\"\",\"instance\":\"/a\",\"request_id\":\"ID\"}\n");
    buf_clear(&out);
    response_problem(&out, 503, SLICE(""), SLICE(""), SLICE("ID"), SLICE(",\"more\":[1]"));
    assert_string_equal(buf_cstr(&out),
                        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                        "\"status\":503,\"request_id\":\"ID\",\"more\":[1]}\n");
    buf_deinit(&out);
}

static void a_head_by_itself_says_how_its_body_ends(void **state)
{
    (void)state;
    static const struct field headers[] = {
        FIELD("Content-Length", "7"), FIELD("Trailer", "X"), FIELD("Upgrade", "a"),
        FIELD("Connection", "x"),     FIELD("X-Own", "1"),
    };

    static const struct {
        struct http_extent extent;
        unsigned status;
        bool to_head;
        const char *want; /* between the status line and Date */
    } cases[] = {
        {{.end = RESPONSE_LENGTH, .length = 9},
         200,
         false,
         "X-Own: 1\r\nContent-Length: 9\r\n"},
        {{.end = RESPONSE_CHUNKED},
         200,
         false,
         "Trailer: X\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n"},
        {{.end = RESPONSE_TO_CLOSE}, 200, false, "X-Own: 1\r\n"},
        {{.end = RESPONSE_NO_BODY}, 200, true, "X-Own: 1\r\nContent-Length: 7\r\n"},
        {{.end = RESPONSE_NO_BODY}, 204, false, "X-Own: 1\r\n"},
        {{.end = RESPONSE_NO_BODY}, 304, false, "X-Own: 1\r\nContent-Length: 7\r\n"},
        {{.end = RESPONSE_UPGRADE, .upgrade = {"b", 1}},
         101,
         false,
         "Upgrade: a\r\nX-Own: 1\r\nConnection: Upgrade\r\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        struct http_answer answer = {
            .status = cases[i].status, .headers = headers, .header_count = 5};
        response_write_head(&out, &answer,
                            &(struct http_framing){.to_head = cases[i].to_head,
                                                   .date = SLICE("DATE"),
                                                   .id = SLICE("ID")},
                            &cases[i].extent);
        char *fields = strstr(buf_cstr(&out), "\r\n") + 2;
        char *end = strstr(fields, "Date: DATE\r\nX-Request-Id: ID\r\n\r\n");
        assert_non_null(end);
        *end = '\0';
        assert_string_equal(fields, cases[i].want);
        buf_deinit(&out);
    }
}

static void an_announced_length_must_be_one_number(void **state)
{
    (void)state;
    static const struct field twice[] = {FIELD("Content-Length", "7"),
                                         FIELD("content-length", " 7 ")};
    static const struct field apart[] = {FIELD("Content-Length", "7"),
                                         FIELD("content-length", "8")};
    static const struct field words[] = {FIELD("X", "7"), FIELD("content-length", "-8")};
    struct http_answer answer = {.status = 200, .headers = twice, .header_count = 2};
    struct err why;
    bool given;
    uint64_t length;
    assert_true(response_length(&answer, &given, &length, &why));
    assert_true(given && length == 7);
    answer.headers = apart;
    assert_false(response_length(&answer, &given, &length, &why));
    answer.headers = words;
    assert_false(response_length(&answer, &given, &length, &why));
    assert_non_null(strstr(why.text, "-8"));
    answer.header_count = 1;
    assert_true(response_length(&answer, &given, &length, &why));
    assert_false(given);
}

static void a_trailer_cannot_change_what_was_said_before(void **state)
{
    (void)state;
    static const char *const never[] = {
        "Content-Length", "Transfer-Encoding", "HOST",   "Trailer",          "Authorization",
        "set-cookie",     "Content-Type",      "Cookie", "Content-Encoding", "X-Request-Id",
        "Cache-Control",  "Connection",        "TE",     "X-Forwarded-For",
    };
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        assert_false(response_trailer_allowed(slice_of(never[i])));
    assert_true(response_trailer_allowed(SLICE("Server-Timing")));
    assert_true(response_trailer_allowed(SLICE("grpc-status")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_by_itself_says_how_its_body_ends),
        cmocka_unit_test(an_announced_length_must_be_one_number),
        cmocka_unit_test(a_trailer_cannot_change_what_was_said_before),
        cmocka_unit_test(an_answer_has_its_own_fields_and_those_of_the_connection),
        cmocka_unit_test(what_belongs_to_the_connection_is_not_the_handlers),
        cmocka_unit_test(the_length_is_true_and_a_body_goes_only_where_one_may),
        cmocka_unit_test(every_number_has_a_phrase),
        cmocka_unit_test(a_bad_answer_is_refused_before_a_byte_goes_out),
        cmocka_unit_test(obs_text_in_a_value_is_let_through),
        cmocka_unit_test(a_problem_is_json_with_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
