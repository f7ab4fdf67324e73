#include <llhttp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/parse.h"
#include "http/server.h"

#include <cmocka.h>

static const struct http_limits limits = {
    .head_bytes = 1024, .target_bytes = 256, .header_count = 8, .body_bytes = 1 << 20};

/* Feeds the wire `step` bytes at a time (the first time `first`), as a stream would. */
static enum scan_verdict scan(struct slice wire, size_t first, size_t step,
                              struct head_scan *at, struct refusal *why)
{
    enum scan_verdict verdict = SCAN_MORE;
    *at = (struct head_scan){0};
    for (size_t len = MIN(first, wire.len); verdict == SCAN_MORE;
         len = MIN(len + step, wire.len)) {
        verdict = head_scan(at, (struct slice){wire.ptr, len}, &limits, why);
        if (len == wire.len)
            break;
    }
    return verdict;
}

/* "METHOD TARGET minor [body] [close] [continue] | name=value | ...", or "STATUS". */
static char *outcome(struct slice wire, size_t first, size_t step)
{
    struct arena arena = {0};
    struct head_scan at;
    struct refusal why = {0};
    struct head head;
    struct buf out = {0};
    enum scan_verdict verdict = scan(wire, first, step, &at, &why);
    if (verdict == SCAN_MORE) {
        buf_adds(&out, "more");
    } else if (verdict == SCAN_REFUSED ||
               !head_parse((struct slice){wire.ptr, at.at}, at.lines, &arena, &head, &why)) {
        assert_non_null(why.detail);
        buf_addf(&out, "%u", why.status);
    } else {
        buf_addf(&out, SLICE_FMT " " SLICE_FMT " %u", SLICE_ARG(head.method),
                 SLICE_ARG(head.target), head.minor);
        if (head.chunked)
            buf_adds(&out, " chunked");
        if (head.length)
            buf_addf(&out, " %llu", (unsigned long long)head.length);
        buf_adds(&out, head.keep_alive ? "" : " close");
        buf_adds(&out, head.expects_continue ? " continue" : "");
        for (size_t i = 0; i < head.field_count; i++)
            buf_addf(&out, " | " SLICE_FMT "=" SLICE_FMT, SLICE_ARG(head.fields[i].name),
                     SLICE_ARG(head.fields[i].value));
    }
    arena_deinit(&arena);
    return buf_give(&out);
}

struct head_case {
    struct slice wire;
    const char *want;
};

#define CASE(wire, want)                                                                       \
    {                                                                                          \
        {"" wire, sizeof(wire) - 1}, want                                                      \
    }
#define LINE(line)    line "\r\nHost: a\r\n\r\n"
#define WITH(fields)  "GET / HTTP/1.1\r\n" fields "\r\n"
#define POST(fields)  "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define POST0(fields) "POST / HTTP/1.0\r\n" fields "\r\n"

static const struct head_case good_cases[] = {
    CASE(LINE("GET / HTTP/1.1"), "GET / 1 | host=a"),
    CASE(LINE("GET /a?b=c&d=%zz HTTP/1.1"), "GET /a?b=c&d=%zz 1 | host=a"),
    CASE(LINE("GET http://b:80/x HTTP/1.1"), "GET http://b:80/x 1 | host=a"),
    CASE(LINE("OPTIONS * HTTP/1.1"), "OPTIONS * 1 | host=a"),
    CASE(LINE("DELETE /a\"<>\\^`{|} HTTP/1.1"), "DELETE /a\"<>\\^`{|} 1 | host=a"),
    CASE(LINE("M-SEARCH / HTTP/1.1"), "M-SEARCH / 1 | host=a"),
    CASE("GET / HTTP/1.0\r\n\r\n", "GET / 0 close"),
    CASE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 0 | connection=Keep-Alive"),
    CASE(WITH("Connection: close\r\n"), "GET / 1 close | connection=close"),
    CASE(WITH("Connection: keep-alive, Close\r\n"),
         "GET / 1 close | connection=keep-alive, Close"),
    CASE(WITH("Connection: closed\r\n"), "GET / 1 | connection=closed"),
    CASE(WITH("X:a\r\nY:  b \t \r\nZ:\r\nW: \r\n"), "GET / 1 | x=a | y=b | z= | w="),
    CASE(WITH("A!#$%&'*+-.^_`|~9: x\r\n"), "GET / 1 | a!#$%&'*+-.^_`|~9=x"),
    CASE(WITH("X: a:b, \"c\" \t d\r\n"), "GET / 1 | x=a:b, \"c\" \t d"),
    CASE(WITH("X: caf\xc3\xa9\xff\r\n"), "GET / 1 | x=caf\xc3\xa9\xff"),
    CASE(WITH("Same: 1\r\nother: 2\r\nsame: 3\r\n"), "GET / 1 | same=1 | other=2 | same=3"),
    CASE(WITH("Upgrade: h2c\r\nConnection: upgrade\r\n"),
         "GET / 1 | upgrade=h2c | connection=upgrade"),
    CASE(POST("Content-Length: 0\r\n"), "POST / 1 | host=a | content-length=0"),
    CASE(POST("Content-Length: 12\r\n"), "POST / 1 12 | host=a | content-length=12"),
    CASE(POST("content-length:007 \r\n"), "POST / 1 7 | host=a | content-length=007"),
    CASE(POST("Transfer-Encoding: chunked\r\n"),
         "POST / 1 chunked | host=a | transfer-encoding=chunked"),
    CASE(POST("Transfer-Encoding: Chunked\r\n"),
         "POST / 1 chunked | host=a | transfer-encoding=Chunked"),
    CASE(POST("Expect: 100-Continue\r\nContent-Length: 1\r\n"),
         "POST / 1 1 continue | host=a | expect=100-Continue | content-length=1"),
    CASE(POST(""), "POST / 1 | host=a"),
    CASE(POST0("Content-Length: 1\r\nExpect: nonsense\r\n"),
         "POST / 0 1 close | content-length=1 | expect=nonsense"),
    CASE("GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\nrest",
         "GET / 0 | connection=keep-alive | host=a"),
};

static const struct head_case bad_cases[] = {
    /* request line */
    CASE("GET /\r\n\r\n", "400"),
    CASE("GET\r\n\r\n", "400"),
    CASE(" \r\n\r\n", "400"),
    CASE("\n\n", "400"),
    CASE("\r\n\r\n\r\n", "400"),
    CASE(LINE("GET  / HTTP/1.1"), "400"),
    CASE(LINE("GET /  HTTP/1.1"), "400"),
    CASE(LINE("GET / HTTP/1.1 "), "400"),
    CASE(LINE("GET / HTTP/1.1\t"), "400"),
    CASE(LINE(" GET / HTTP/1.1"), "400"),
    CASE(LINE("GET\t/\tHTTP/1.1"), "400"),
    CASE(LINE("GET\t/ HTTP/1.1"), "400"),
    CASE(LINE("GET /\tHTTP/1.1"), "400"),
    CASE(LINE("GET /a b HTTP/1.1"), "400"),
    CASE(LINE("GET /a\x0b HTTP/1.1"), "400"),
    CASE(LINE("GET /\0 HTTP/1.1"), "400"),
    CASE(LINE("GET /\x7f HTTP/1.1"), "400"),
    CASE(LINE("GET /\xc3\xa9 HTTP/1.1"), "400"),
    CASE(LINE("GET /a#b HTTP/1.1"), "400"),
    CASE(LINE("G@T / HTTP/1.1"), "400"),
    CASE(LINE("GET\0 / HTTP/1.1"), "400"),
    CASE(LINE("(GET) / HTTP/1.1"), "400"),
    CASE("\x16\x03\x01\x02\x01", "400"), /* TLS: told at the first byte */
    CASE("GET / HTTP/1.1\nHost: a\r\n\r\n", "400"),
    CASE("GET / HTTP/1.1\rHost: a\r\n\r\n", "400"),
    CASE("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400"),
    CASE(LINE("GET / http/1.1"), "400"),
    CASE(LINE("GET / HTTP"), "400"),
    CASE(LINE("GET / HTTP/"), "400"),
    CASE(LINE("GET / HTTP/1"), "400"),
    CASE(LINE("GET / HTTP/1."), "400"),
    CASE(LINE("GET / HTTP/.1"), "400"),
    CASE(LINE("GET / HTTP/1.1.1"), "400"),
    CASE(LINE("GET / HTTP/1,1"), "400"),
    CASE(LINE("GET / HTTP/1.1x"), "400"),
    CASE(LINE("GET / HTTP/-1.1"), "400"),
    CASE(LINE("GET / FTP/1.1"), "400"),
    CASE(LINE("GET / ICE/1.0"), "400"),
    CASE(LINE("SOURCE / ICE/1.0"), "400"),
    CASE(LINE("GET / HTTP/2.0"), "505"),
    CASE(LINE("GET / HTTP/0.9"), "505"),
    CASE(LINE("GET / HTTP/1.2"), "505"),
    CASE(LINE("GET / HTTP/1.10"), "505"),
    CASE(LINE("GET / HTTP/01.1"), "505"),
    CASE(LINE("GET / HTTP/11.1"), "505"),
    CASE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    CASE(LINE("FOO / HTTP/1.1"), "501"),
    CASE(LINE("get / HTTP/1.1"), "501"),
    CASE(LINE("DESCRIBE / HTTP/1.1"), "501"),
    CASE(LINE("CONNECT a:80 HTTP/1.1"), "501"),
    CASE(LINE("PRI * HTTP/1.1"), "505"),

    /* field lines */
    CASE(WITH("Host: a\nX: b\r\n"), "400"),
    CASE(WITH("Host: a\r\n\n"), "400"),
    CASE("GET / HTTP/1.1\r\nHost: a\r\n\n", "400"),
    CASE("GET / HTTP/1.1\r\nHost: a\n\n", "400"),
    CASE(WITH("Host: a\rX: b\r\n"), "400"),
    CASE(WITH("Host: a\r\r\n"), "400"),
    CASE(WITH("X: a\r\n b\r\n"), "400"),
    CASE(WITH("X: a\r\n\tb\r\n"), "400"),
    CASE(WITH(" X: a\r\n"), "400"),
    CASE(WITH("X : a\r\n"), "400"),
    CASE(WITH("X\t: a\r\n"), "400"),
    CASE(WITH("X Y: a\r\n"), "400"),
    CASE(WITH(": a\r\n"), "400"),
    CASE(WITH("no colon\r\n"), "400"),
    CASE(WITH("X(: a\r\n"), "400"),
    CASE(WITH("\xc3\xa9: a\r\n"), "400"),
    CASE(WITH("X\0: a\r\n"), "400"),
    CASE(WITH("X: a\0b\r\n"), "400"),
    CASE(WITH("X: a\x01\r\n"), "400"),
    CASE(WITH("X: a\x7f\r\n"), "400"),
    CASE(WITH("X: a\x0b\r\n"), "400"),
    CASE(WITH("\"X\": a\r\n"), "400"),

    /* where the body ends */
    CASE(POST("Content-Length: +5\r\n"), "400"),
    CASE(POST("Content-Length: -5\r\n"), "400"),
    CASE(POST("Content-Length: 5, 5\r\n"), "400"),
    CASE(POST("Content-Length: 5 5\r\n"), "400"),
    CASE(POST("Content-Length: 0x5\r\n"), "400"),
    CASE(POST("Content-Length: 5.0\r\n"), "400"),
    CASE(POST("Content-Length: 5e0\r\n"), "400"),
    CASE(POST("Content-Length: five\r\n"), "400"),
    CASE(POST("Content-Length:\r\n"), "400"),
    CASE(POST("Content-Length: 18446744073709551616\r\n"), "400"),
    CASE(POST("Content-Length: 18446744073709551621\r\n"), "400"),
    CASE(POST("Content-Length: 99999999999999999999999\r\n"), "400"),
    CASE(POST("Content-Length: 5\r\nContent-Length: 5\r\n"), "400"),
    CASE(POST("Content-Length: 5\r\nContent-Length: 6\r\n"), "400"),
    CASE(POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked, chunked\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked, gzip\r\n"), "400"),
    CASE(POST("Transfer-Encoding: chunked,\r\n"), "400"),
    CASE(POST("Transfer-Encoding: ,chunked\r\n"), "400"),
    CASE(POST("Transfer-Encoding:\r\n"), "400"),
    CASE(POST("Transfer-Encoding:\x0b"
              "chunked\r\n"),
         "400"),
    CASE(POST("Transfer-Encoding : chunked\r\n"), "400"),
    CASE(POST0("Transfer-Encoding: chunked\r\n"), "400"),
    CASE(POST0(""), "411"),
    CASE(POST("Expect: 200-ok\r\nContent-Length: 1\r\n"), "417"),
    CASE(POST("Expect: 100-continue, more\r\nContent-Length: 1\r\n"), "417"),
    CASE(POST("Expect:\r\nContent-Length: 1\r\n"), "417"),
};

/* Codings that are well-formed, but not spoken here. */
static const struct head_case unknown_codings[] = {
    CASE(POST("Transfer-Encoding: gzip, chunked\r\n"), "501"),
    CASE(POST("Transfer-Encoding: gzip\r\n"), "501"),
    CASE(POST("Transfer-Encoding: identity\r\n"), "501"),
    CASE(POST("Transfer-Encoding: xchunked\r\n"), "501"),
    CASE(POST("Transfer-Encoding: chunkedx\r\n"), "501"),
    CASE(POST("Transfer-Encoding: \"chunked\"\r\n"), "501"),
    CASE(POST("Transfer-Encoding: chunked;q=1\r\n"), "501"),
};

static void assert_case(const struct head_case *c, size_t index, size_t first, size_t step)
{
    char *got = outcome(c->wire, first, step);
    if (strcmp(got, c->want) != 0)
        fail_msg("case %zu (\"" SLICE_FMT
                 "\"), %zu then %zu bytes at a time: \"%s\", not \"%s\"",
                 index, SLICE_ARG(c->wire), first, step, got, c->want);
    xfree(got);
}

/* In every piece size, and in two pieces cut at every place. */
static void assert_cases(const struct head_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = cases[i].wire.len;
        assert_case(&cases[i], i, len, len);
        for (size_t step = 1; step < len; step++) {
            assert_case(&cases[i], i, step, step);
            assert_case(&cases[i], i, step, len);
        }
    }
}

static void good_heads_are_read_the_same_however_they_are_cut(void **state)
{
    (void)state;
    assert_cases(good_cases, ARRAY_LEN(good_cases));
}

static void bad_heads_are_refused_however_they_are_cut(void **state)
{
    (void)state;
    assert_cases(bad_cases, ARRAY_LEN(bad_cases));
    assert_cases(unknown_codings, ARRAY_LEN(unknown_codings));
}

static void an_unfinished_head_is_waited_for(void **state)
{
    (void)state;
    struct slice wire = SLICE("GET /path HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n");
    for (size_t len = 0; len < wire.len; len++) {
        struct slice part = {wire.ptr, len};
        char *got = outcome(part, len, 1);
        assert_string_equal(got, "more");
        xfree(got);
    }
}

static struct buf repeated(const char *before, const char *text, size_t count,
                           const char *after)
{
    struct buf b = {0};
    buf_adds(&b, before);
    while (count--)
        buf_adds(&b, text);
    buf_adds(&b, after);
    return b;
}

struct limit_case {
    const char *before;
    const char *text;
    size_t count;
    const char *after;
    const char *want; /* a prefix of the outcome */
};

static const struct limit_case limit_cases[] = {
    {"GET /", "a", 255, " HTTP/1.1\r\n\r\n", "GET /aaa"},
    {"GET /", "a", 256, " HTTP/1.1\r\n\r\n", "414"},
    {"GET /", "a", 500, "", "414"}, /* no need to wait for the end */
    {"GET /", "a", 5000, " HTTP/1.1\r\n\r\n", "414"},
    {"", "A", 5000, "", "414"},
    {"GET / HTTP/1.1\r\n", "a: b\r\n", 8, "\r\n", "GET / 1"},
    {"GET / HTTP/1.1\r\n", "a: b\r\n", 9, "\r\n", "431"},
    {"GET / HTTP/1.1\r\n", "a: b\r\n", 9, "", "431"},
    {"GET / HTTP/1.1\r\nX: ", "a", 1024 - 16 - 3 - 4, "\r\n\r\n", "GET / 1"},
    {"GET / HTTP/1.1\r\nX: ", "a", 1024 - 16 - 3 - 3, "\r\n\r\n", "431"},
    {"GET / HTTP/1.1\r\nX: ", "a", 2000, "", "431"},
    {"GET / HTTP/1.1\r\n", "a", 2000, "", "431"},
};

static void too_much_of_anything_is_refused_with_its_own_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limit_cases); i++) {
        const struct limit_case *c = &limit_cases[i];
        struct buf wire = repeated(c->before, c->text, c->count, c->after);
        static const size_t steps[] = {1, 7, 100, 100000};
        for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
            char *got = outcome(buf_slice(&wire), steps[s], steps[s]);
            if (strncmp(got, c->want, strlen(c->want)) != 0)
                fail_msg("limit case %zu, %zu bytes at a time: \"%s\", not \"%s\"", i, steps[s],
                         got, c->want);
            xfree(got);
        }
        buf_deinit(&wire);
    }
}

/* The scan hides it, so it is asked directly: the build must not forget the strict flag. */
static void llhttp_was_built_strict(void **state)
{
    (void)state;
    llhttp_settings_t settings;
    llhttp_t parser;
    struct slice wire = SLICE("GET /\xc3\xa9 HTTP/1.1\r\n\r\n");
    llhttp_settings_init(&settings);
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    assert_int_equal(llhttp_execute(&parser, wire.ptr, wire.len), HPE_INVALID_URL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_read_the_same_however_they_are_cut),
        cmocka_unit_test(bad_heads_are_refused_however_they_are_cut),
        cmocka_unit_test(an_unfinished_head_is_waited_for),
        cmocka_unit_test(too_much_of_anything_is_refused_with_its_own_status),
        cmocka_unit_test(llhttp_was_built_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
