#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/chunked.h"

#include <cmocka.h>

enum { LIMIT = 64 };

struct chunked_case {
    const char *wire;
    enum chunked_verdict verdict;
    const char *body;
};

static const struct chunked_case cases[] = {
    {"0\r\n\r\n", CHUNKED_DONE, ""},
    {"5\r\nhello\r\n0\r\n\r\n", CHUNKED_DONE, "hello"},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", CHUNKED_DONE, "hello world"},
    {"a\r\n0123456789\r\n0\r\n\r\n", CHUNKED_DONE, "0123456789"},
    {"A\r\n0123456789\r\n0\r\n\r\n", CHUNKED_DONE, "0123456789"},
    {"00005\r\nhello\r\n000\r\n\r\n", CHUNKED_DONE, "hello"},
    {"2\r\n\r\n\r\n0\r\n\r\n", CHUNKED_DONE, "\r\n"},
    {"5;a\r\nhello\r\n0;b=c\r\n\r\n", CHUNKED_DONE, "hello"},
    {"5;a=b;c=\"d; \\\" e\"\r\nhello\r\n0\r\n\r\n", CHUNKED_DONE, "hello"},
    {"0\r\nX-Sum: 1\r\nY:\r\n\r\n", CHUNKED_DONE, ""},
    {"5\r\nhel", CHUNKED_MORE, "hel"},
    {"5\r\nhello\r\n0\r\n", CHUNKED_MORE, "hello"},
    {"", CHUNKED_MORE, ""},

    {"5\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5\r\nhello\n0\r\n\r\n", CHUNKED_BAD, "hello"},
    {"5\r\nhello\r\n0\n\n", CHUNKED_BAD, "hello"},
    {"5\r\nhello\r\n0\r\n\n", CHUNKED_BAD, "hello"},
    {"5\r\nhello\r\n0\r\n\rX", CHUNKED_BAD, "hello"},
    {"5\rXhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5\r\nhello0\r\n\r\n", CHUNKED_BAD, "hello"},
    {"5\r\nhelloXX0\r\n\r\n", CHUNKED_BAD, "hello"},
    {"5\r\nhello\rX", CHUNKED_BAD, "hello"},
    {"\r\n", CHUNKED_BAD, ""},
    {" 5\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5 \r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5\t\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"+5\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"-5\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"0x5\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5h\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"g\r\n", CHUNKED_BAD, ""},
    {"5,5\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"0000000000000005\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;;a\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;a=\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5; a\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;a=\"b\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;a\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"5;a=b\n\r\nhello\r\n0\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\n folded\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\nno colon\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\n: empty name\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\nX : 1\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\nX: 1\n\r\n", CHUNKED_BAD, ""},
    {"0\r\nX: \x01\r\n\r\n", CHUNKED_BAD, ""},
    {"0\r\nX: 1\rY: 2\r\n\r\n", CHUNKED_BAD, ""},

    {"41\r\n", CHUNKED_TOO_LARGE, ""}, /* 65: told before a byte of it came */
    {"fffffffffffffff\r\n", CHUNKED_TOO_LARGE, ""},
    {"ffffffffffffffff\r\n", CHUNKED_TOO_LARGE, ""},
    {"5\r\nhello\r\n3c\r\n", CHUNKED_TOO_LARGE, "hello"},
};

/* Feeds the wire in pieces of `step` bytes; returns what was used up. */
static size_t feed(struct slice wire, size_t step, enum chunked_verdict *verdict,
                   struct buf *body)
{
    struct chunked chunked = {0};
    size_t at = 0;
    *verdict = CHUNKED_MORE;
    while (at < wire.len && *verdict == CHUNKED_MORE) {
        size_t used;
        struct slice piece = {wire.ptr + at, MIN(step, wire.len - at)};
        *verdict = chunked_read(&chunked, piece, LIMIT, body, &used);
        assert_true(*verdict != CHUNKED_MORE || used == piece.len);
        at += used;
    }
    return at;
}

static void each_body_is_read_the_same_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice wire = slice_of(cases[i].wire);
        size_t first = 0;
        for (size_t step = 1; step <= wire.len + 1; step++) {
            struct buf body = {0};
            enum chunked_verdict verdict;
            size_t used = feed(wire, step, &verdict, &body);
            if (verdict != cases[i].verdict || !slice_is(buf_slice(&body), cases[i].body))
                fail_msg("case %zu (\"%s\"), %zu bytes at a time: verdict %d, body \"%s\"", i,
                         cases[i].wire, step, (int)verdict, buf_cstr(&body));
            first = step == 1 ? used : first;
            assert_int_equal(used, first);
            buf_deinit(&body);
        }
    }
}

static void what_follows_the_body_is_left_alone(void **state)
{
    (void)state;
    struct buf body = {0};
    enum chunked_verdict verdict;
    struct slice wire = SLICE("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
    assert_int_equal(feed(wire, wire.len, &verdict, &body), 11);
    assert_int_equal(verdict, CHUNKED_DONE);
    buf_deinit(&body);
}

static void a_size_line_cannot_be_endless(void **state)
{
    (void)state;
    struct buf wire = {0}, body = {0};
    enum chunked_verdict verdict;
    buf_adds(&wire, "5;a=");
    for (int i = 0; i < 40000; i++)
        buf_addc(&wire, 'b');
    assert_true(feed(buf_slice(&wire), 1000, &verdict, &body) < 20000);
    assert_int_equal(verdict, CHUNKED_BAD);
    buf_deinit(&wire);
    buf_deinit(&body);
}

static void many_small_extensions_are_too_much_in_the_end(void **state)
{
    (void)state;
    struct chunked chunked = {0};
    struct buf body = {0};
    struct slice chunk = SLICE("1;name=0123456789012345678901234567890123456789\r\nx\r\n");
    enum chunked_verdict verdict = CHUNKED_MORE;
    size_t used;
    int chunks = 0;
    while (verdict == CHUNKED_MORE && chunks++ < 100000)
        verdict = chunked_read(&chunked, chunk, 1 << 20, &body, &used);
    assert_int_equal(verdict, CHUNKED_BAD);
    assert_in_range(chunks, 100, 2000);
    buf_deinit(&body);
}

static void honest_small_chunks_are_never_too_much(void **state)
{
    (void)state;
    struct chunked chunked = {0};
    struct buf body = {0};
    size_t used;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(chunked_read(&chunked, SLICE("1\r\nx\r\n"), 1 << 20, &body, &used),
                         CHUNKED_MORE);
    assert_int_equal(body.len, 100000);
    buf_deinit(&body);
}

static void a_trailer_section_has_an_end(void **state)
{
    (void)state;
    struct chunked chunked = {0};
    struct buf body = {0};
    size_t used;
    enum chunked_verdict verdict = chunked_read(&chunked, SLICE("0\r\n"), LIMIT, &body, &used);
    for (int i = 0; verdict == CHUNKED_MORE && i < 10000; i++)
        verdict = chunked_read(&chunked, SLICE("X: 0123456789\r\n"), LIMIT, &body, &used);
    assert_int_equal(verdict, CHUNKED_TRAILER);
    buf_deinit(&body);
}

static void trailer_lines_are_kept_for_whom_wants_them(void **state)
{
    (void)state;

    static const struct {
        const char *wire, *kept;
        enum chunked_verdict verdict;
    } trailers[] = {
        {"0\r\n\r\n", "", CHUNKED_DONE},
        {"0\r\nA: 1\r\nB:\r\n\r\n", "A: 1\r\nB:\r\n", CHUNKED_DONE},
        {"0\r\nA: 12345\r\n\r\n", "A: 12345\r\n", CHUNKED_DONE},
        {"0\r\nA: 1234567890123\r\n\r\n", "A: 1234567890123", CHUNKED_TRAILER},
    };

    for (size_t i = 0; i < ARRAY_LEN(trailers); i++) {
        struct buf body = {0};
        struct buf kept = {0};
        struct chunked chunked = {.kept = &kept, .trailer_max = 16};
        size_t used;
        assert_int_equal(
            chunked_read(&chunked, slice_of(trailers[i].wire), LIMIT, &body, &used),
            trailers[i].verdict);
        assert_string_equal(buf_cstr(&kept), trailers[i].kept);
        buf_deinit(&body);
        buf_deinit(&kept);
    }
}

static void the_limit_is_for_all_that_came_not_for_what_is_held(void **state)
{
    (void)state;
    struct chunked chunked = {0};
    struct buf body = {0};
    size_t used;
    for (int i = 0; i < LIMIT / 16; i++) {
        buf_clear(&body); /* consumed meanwhile */
        assert_int_equal(
            chunked_read(&chunked, SLICE("10\r\n0123456789abcdef\r\n"), LIMIT, &body, &used),
            CHUNKED_MORE);
        assert_int_equal(body.len, 16);
    }
    assert_int_equal(chunked.total, LIMIT);
    assert_int_equal(chunked_read(&chunked, SLICE("1\r\n"), LIMIT, &body, &used),
                     CHUNKED_TOO_LARGE);
    buf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trailer_lines_are_kept_for_whom_wants_them),
        cmocka_unit_test(the_limit_is_for_all_that_came_not_for_what_is_held),
        cmocka_unit_test(each_body_is_read_the_same_however_it_is_cut),
        cmocka_unit_test(what_follows_the_body_is_left_alone),
        cmocka_unit_test(a_size_line_cannot_be_endless),
        cmocka_unit_test(many_small_extensions_are_too_much_in_the_end),
        cmocka_unit_test(honest_small_chunks_are_never_too_much),
        cmocka_unit_test(a_trailer_section_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
