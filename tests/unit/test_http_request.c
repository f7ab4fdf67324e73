#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/request.h"

#include <cmocka.h>

static const struct http_limits limits = {
    .head_bytes = 8192, .target_bytes = 1024, .header_count = 64, .body_bytes = 1024};

/* The request that a head makes, as "METHOD path?query host ip scheme id | name=value ...". */
static char *outcome(const char *wire, bool trusted)
{
    struct arena arena = {0};
    struct trust trust;
    struct head_scan at = {0};
    struct head head;
    struct http_request r;
    struct refusal why = {0};
    struct buf out = {0};
    struct peer peer = {SLICE("10.0.0.1"), trusted};
    trust_init(&trust, (const char *const[]){"10.0.0.0/8", NULL});
    assert_int_equal(head_scan(&at, slice_of(wire), &limits, &why), SCAN_DONE);
    assert_true(head_parse((struct slice){wire, at.at}, at.lines, &arena, &head, &why));
    if (request_read(&r, &head, &peer, &trust, SLICE("made"), &arena, &why)) {
        buf_addf(&out, SLICE_FMT " " SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(r.method),
                 SLICE_ARG(r.path), r.has_query ? "?" : "", SLICE_ARG(r.query));
        buf_addf(&out, " " SLICE_FMT " " SLICE_FMT " %s " SLICE_FMT "%s", SLICE_ARG(r.host),
                 SLICE_ARG(r.ip), r.https ? "https" : "http", SLICE_ARG(r.id),
                 r.asterisk ? " asterisk" : "");
        for (size_t i = 0; i < r.header_count; i++)
            buf_addf(&out, " | " SLICE_FMT "=" SLICE_FMT, SLICE_ARG(r.headers[i].name),
                     SLICE_ARG(r.headers[i].value));
    } else {
        buf_addf(&out, "%u", why.status);
        assert_non_null(why.detail);
    }
    trust_deinit(&trust);
    arena_deinit(&arena);
    return buf_give(&out);
}

struct request_case {
    const char *wire;
    const char *want;
};

static void assert_requests(const struct request_case *cases, size_t count, bool trusted)
{
    for (size_t i = 0; i < count; i++) {
        char *got = outcome(cases[i].wire, trusted);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("case %zu\n%s: \"%s\", not \"%s\"", i, cases[i].wire, got, cases[i].want);
        xfree(got);
    }
}

#define TARGET(line)  line "\r\nHost: a\r\n\r\n"
#define FIELDS(lines) "GET / HTTP/1.1\r\nHost: a\r\n" lines "\r\n"
#define ROOT          "GET / a 10.0.0.1 http made | host=a"

static void targets_of_every_form_become_a_path(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {TARGET("GET /a/b?c=d HTTP/1.1"), "GET /a/b?c=d a 10.0.0.1 http made | host=a"},
        {TARGET("GET /? HTTP/1.1"), "GET /? a 10.0.0.1 http made | host=a"},
        {TARGET("GET /?a?b HTTP/1.1"), "GET /?a?b a 10.0.0.1 http made | host=a"},
        {TARGET("GET /?a=%zz/../b HTTP/1.1"), "GET /?a=%zz/../b a 10.0.0.1 http made | host=a"},
        {TARGET("GET /x/../../y HTTP/1.1"), "GET /y a 10.0.0.1 http made | host=a"},
        {TARGET("GET //evil.example/x HTTP/1.1"),
         "GET //evil.example/x a 10.0.0.1 http made | host=a"},
        {TARGET("GET /a%zz HTTP/1.1"), "400"},
        {TARGET("GET /a%00 HTTP/1.1"), "400"},
        {TARGET("GET http://b:81/x?y HTTP/1.1"),
         "GET /x?y b:81 10.0.0.1 http made | host=b:81"},
        {TARGET("GET HTTPS://b/x HTTP/1.1"), "GET /x b 10.0.0.1 http made | host=b"},
        {TARGET("GET http://b HTTP/1.1"), "GET / b 10.0.0.1 http made | host=b"},
        {TARGET("GET http://b?q HTTP/1.1"), "GET /?q b 10.0.0.1 http made | host=b"},
        {TARGET("GET http://b/../x HTTP/1.1"), "GET /x b 10.0.0.1 http made | host=b"},
        {TARGET("GET http:///x HTTP/1.1"), "400"},
        {TARGET("GET http://user@b/x HTTP/1.1"), "400"},
        {TARGET("GET http://b:99999/x HTTP/1.1"), "400"},
        {TARGET("GET ftp://b/x HTTP/1.1"), "400"},
        {TARGET("OPTIONS * HTTP/1.1"), "OPTIONS * a 10.0.0.1 http made asterisk | host=a"},
        {TARGET("OPTIONS http://b HTTP/1.1"),
         "OPTIONS * b 10.0.0.1 http made asterisk | host=b"},
        {TARGET("OPTIONS /x HTTP/1.1"), "OPTIONS /x a 10.0.0.1 http made | host=a"},
        {TARGET("GET * HTTP/1.1"), "400"},
        {"GET http://b/x HTTP/1.0\r\n\r\n", "GET /x b 10.0.0.1 http made"},
        {"GET /x HTTP/1.0\r\n\r\n", "GET /x  10.0.0.1 http made"},
    };
    assert_requests(cases, ARRAY_LEN(cases), false);
}

static void one_good_host_is_needed(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {"GET / HTTP/1.1\r\nHost: a.example:8000\r\n\r\n",
         "GET / a.example:8000 10.0.0.1 http made | host=a.example:8000"},
        {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
         "GET / [::1]:80 10.0.0.1 http made | host=[::1]:80"},
        {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / a: 10.0.0.1 http made | host=a:"},
        {"GET / HTTP/1.1\r\nHost: my_host\r\n\r\n",
         "GET / my_host 10.0.0.1 http made | host=my_host"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "400"},
        {"GET http://b/ HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: [zz]\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: []\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a<b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: caf\xc3\xa9\r\n\r\n", "400"},
    };
    assert_requests(cases, ARRAY_LEN(cases), false);
}

static void what_was_for_us_goes_no_further(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {FIELDS("Connection: keep-alive\r\n"), ROOT},
        {FIELDS("Keep-Alive: timeout=5\r\n"), ROOT},
        {FIELDS("Proxy-Connection: keep-alive\r\n"), ROOT},
        {FIELDS("TE: trailers\r\n"), ROOT},
        {FIELDS("Trailer: X\r\n"), ROOT},
        {FIELDS("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n"),
         ROOT},
        {FIELDS("Proxy-Authenticate: x\r\n"), ROOT},
        {FIELDS("Proxy-Authorization: x\r\n"), ROOT},
        {FIELDS("X-Secret: 1\r\nConnection: close, x-secret\r\nX-Secret: 2\r\nX-Other: 3\r\n"),
         ROOT " | x-other=3"},
        {FIELDS("Connection: a\r\nA: 1\r\nConnection: b\r\nB: 2\r\nC: 3\r\n"), ROOT " | c=3"},
        {FIELDS("Connection: host, content-length\r\nContent-Length: 3\r\n"),
         ROOT " | content-length=3"},
        {FIELDS("A_B: 1\r\nX_Forwarded_For: 2\r\nA-B: 3\r\n"), ROOT " | a-b=3"},
        {FIELDS("X_Forwarded-For: 2\r\n_: 3\r\n"), ROOT},
        {FIELDS("Cookie: a=1\r\nCookie: b=2\r\n"), ROOT " | cookie=a=1 | cookie=b=2"},
        {FIELDS("Authorization: Basic x\r\n"), ROOT " | authorization=Basic x"},
        {FIELDS("Transfer-Encoding: chunked\r\nX: 1\r\n"), ROOT " | content-length= | x=1"},
        {FIELDS("Expect: 100-continue\r\nContent-Length: 3\r\n"), ROOT " | content-length=3"},
    };
    assert_requests(cases, ARRAY_LEN(cases), false);
    assert_requests(cases, ARRAY_LEN(cases), true);
}

static void a_stranger_cannot_say_who_it_is(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {FIELDS("X-Forwarded-For: 1.2.3.4\r\n"), ROOT},
        {FIELDS("X-FORWARDED-FOR: 1.2.3.4\r\n"), ROOT},
        {FIELDS("X-Forwarded-Proto: https\r\n"), ROOT},
        {FIELDS("X-Forwarded-Host: evil\r\n"), ROOT},
        {FIELDS("X-Forwarded-Port: 1\r\n"), ROOT},
        {FIELDS("X-Forwarded-Prefix: /a\r\n"), ROOT},
        {FIELDS("X-Forwarded-Server: a\r\n"), ROOT},
        {FIELDS("X-Forwarded-Scheme: https\r\n"), ROOT},
        {FIELDS("Forwarded: for=1.2.3.4\r\n"), ROOT},
        {FIELDS("X-Real-IP: 1.2.3.4\r\n"), ROOT},
        {FIELDS("X-Request-Id: mine\r\n"), ROOT},
    };
    assert_requests(cases, ARRAY_LEN(cases), false);
}

static void a_trusted_proxy_is_believed(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {FIELDS("X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n"),
         "GET / a 1.2.3.4 http made | host=a | x-forwarded-for=9.9.9.9, 1.2.3.4"},
        {FIELDS("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 10.0.0.2\r\n"),
         "GET / a 1.2.3.4 http made | host=a | x-forwarded-for=1.2.3.4 | "
         "x-forwarded-for=10.0.0.2"},
        {FIELDS("X-Forwarded-Proto: https\r\n"),
         "GET / a 10.0.0.1 https made | host=a | x-forwarded-proto=https"},
        {FIELDS("X-Forwarded-Proto: https, http\r\n"),
         "GET / a 10.0.0.1 http made | host=a | x-forwarded-proto=https, http"},
        {FIELDS("X-Forwarded-Proto: http, https,\r\n"),
         "GET / a 10.0.0.1 https made | host=a | x-forwarded-proto=http, https,"},
        {FIELDS("X-Request-Id: abc-1\r\n"),
         "GET / a 10.0.0.1 http abc-1 | host=a | x-request-id=abc-1"},
        {FIELDS("X-Request-Id: a b\r\n"),
         "GET / a 10.0.0.1 http made | host=a | x-request-id=a b"},
        {FIELDS("X-Request-Id:\r\n"), "GET / a 10.0.0.1 http made | host=a | x-request-id="},
        {FIELDS("Connection: x-real-ip, x-forwarded-for\r\nX-Real-IP: 1.2.3.4\r\n"),
         "GET / a 10.0.0.1 http made | host=a | x-real-ip=1.2.3.4"},
        {FIELDS("X_Forwarded_For: 1.2.3.4\r\n"), ROOT},
    };
    assert_requests(cases, ARRAY_LEN(cases), true);
}

static void connection_cannot_name_without_end(void **state)
{
    (void)state;
    struct buf wire = {0};
    buf_adds(&wire, "GET / HTTP/1.1\r\nHost: a\r\nConnection: a");
    for (int i = 0; i < 40; i++)
        buf_adds(&wire, ",a");
    buf_adds(&wire, "\r\n\r\n");
    char *got = outcome(buf_cstr(&wire), false);
    assert_string_equal(got, "400");
    xfree(got);
    buf_deinit(&wire);
}

static void a_chunked_body_gets_its_length(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct field headers[] = {{SLICE("a"), SLICE("1")}, {SLICE("content-length"), SLICE("")}};
    struct http_request r = {.headers = headers, .header_count = 2, .body = SLICE("hello")};
    request_set_length(&r, &arena);
    assert_true(slice_is(headers[0].value, "1"));
    assert_true(slice_is(headers[1].value, "5"));
    assert_true(r.has_length && r.length == 5);
    arena_deinit(&arena);
}

static void a_body_in_pieces_has_no_length_that_is_not_known(void **state)
{
    (void)state;
    struct field headers[] = {{SLICE("content-length"), SLICE("")}, {SLICE("a"), SLICE("1")}};
    struct http_request r = {.headers = headers, .header_count = 2};
    request_drop_length(&r);
    assert_int_equal(r.header_count, 1);
    assert_true(slice_is(r.headers[0].name, "a"));
    request_drop_length(&r);
    assert_int_equal(r.header_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_of_every_form_become_a_path),
        cmocka_unit_test(one_good_host_is_needed),
        cmocka_unit_test(what_was_for_us_goes_no_further),
        cmocka_unit_test(a_stranger_cannot_say_who_it_is),
        cmocka_unit_test(a_trusted_proxy_is_believed),
        cmocka_unit_test(connection_cannot_name_without_end),
        cmocka_unit_test(a_chunked_body_gets_its_length),
        cmocka_unit_test(a_body_in_pieces_has_no_length_that_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
