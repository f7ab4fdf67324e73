#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/answer.h"

#include <cmocka.h>

/* What became of the bytes of one answer. */
struct reading {
    struct answer answer;
    struct buf kept; /* offered and not used */
    struct buf body;
    unsigned heads;
    unsigned ends;
    unsigned status;
    char first[200]; /* the first field, "name: value" */
    const char *why; /* NULL while it is good */
    size_t over;     /* bytes behind the end */
};

static void take(struct reading *r, enum answer_event event, const struct answer_step *step)
{
    if (event == ANSWER_GOT_HEAD) {
        r->heads++;
        r->status = step->head.status;
        if (step->head.field_count)
            snprintf(r->first, sizeof(r->first), SLICE_FMT ": " SLICE_FMT,
                     SLICE_ARG(step->head.fields[0].name),
                     SLICE_ARG(step->head.fields[0].value));
    }
    if (event == ANSWER_GOT_BODY)
        buf_add(&r->body, step->body);
    if (event == ANSWER_GOT_BAD)
        r->why = step->why;
}

/* Offers them as a stream does: what is not used comes again, with what follows. */
static void offer(struct reading *r, struct slice bytes)
{
    struct answer_step step;
    enum answer_event event = ANSWER_GOT_HEAD;
    buf_add(&r->kept, bytes);
    while (!r->why && !r->ends && event != ANSWER_GOT_MORE) {
        event = answer_read(&r->answer, buf_slice(&r->kept), &step);
        take(r, event, &step);
        buf_consume(&r->kept, step.used);
        r->ends += event == ANSWER_GOT_END;
    }
    r->over = r->kept.len;
}

static struct reading *read_all(const char *text, size_t piece, bool is_head)
{
    struct reading *r = xcalloc(1, sizeof(*r));
    answer_init(&r->answer, is_head);
    for (size_t at = 0; text[at]; at += MIN(piece, strlen(text + at)))
        offer(r, (struct slice){text + at, MIN(piece, strlen(text + at))});
    return r;
}

static void reading_free(struct reading *r)
{
    answer_deinit(&r->answer);
    buf_deinit(&r->kept);
    buf_deinit(&r->body);
    xfree(r);
}

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *text;
    unsigned status;
    const char *body;
    bool ends; /* without the connection's end */
    bool keep_alive;
    bool is_head;
} good[] = {
    {OK "Content-Length: 5\r\n\r\nhello", 200, "hello", true, true, false},
    {OK "Content-Length: 0\r\n\r\n", 200, "", true, true, false},
    {OK "content-length: 5\r\nCONTENT-LENGTH: 5\r\n\r\nhello", 200, "hello", true, true, false},
    {OK "Content-Length: 5\r\nConnection: close\r\n\r\nhello", 200, "hello", true, false,
     false},
    {OK "Content-Length: 5\r\nConnection: x, Close\r\n\r\nhello", 200, "hello", true, false,
     false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true, false, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 200, "hi",
     true, true, false},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n ho\r\n0\r\nT: v\r\n\r\n", 200,
     "hi ho", true, true, false},
    {OK "\r\nuntil the end", 200, "until the end", false, false, false},
    {OK "Content-Length: 5\r\n\r\n", 200, "", true, true, true}, /* of a HEAD */
    {OK "Transfer-Encoding: chunked\r\n\r\n", 200, "", true, true, true},
    {OK "\r\n", 200, "", true, true, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true, true, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, "", true, true, false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK
     "Content-Length: 2\r\n\r\nhi",
     200, "hi", true, true, false},
    {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, "", true, true, false},
    {"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, "", true, true, false},
    {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, "hi", true, true, false},
};

static void check_good(size_t i, size_t piece)
{
    struct reading *r = read_all(good[i].text, piece, good[i].is_head);
    if (r->why)
        fail_msg("answer %zu in pieces of %zu: %s", i, piece, r->why);
    assert_int_equal(r->heads, 1);
    assert_int_equal(r->status, good[i].status);
    assert_string_equal(buf_cstr(&r->body), good[i].body);
    assert_int_equal(r->ends, good[i].ends);
    assert_true(answer_ends(&r->answer));
    assert_int_equal(r->answer.keep_alive, good[i].keep_alive);
    assert_int_equal(r->over, 0);
    reading_free(r);
}

static void answers_are_read_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        for (size_t piece = 1; piece <= strlen(good[i].text); piece++)
            check_good(i, piece);
}

static const struct {
    const char *text;
    const char *why; /* is in the sentence */
} bad[] = {
    {"SSH-2.0-OpenSSH\r\n", "does not begin"},
    {"H\x15\x03", "does not begin"},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", "does not begin"},
    {"HTTP/2.0 200 OK\r\n\r\n", "does not begin"},
    {"HTTP/1.2 200 OK\r\n\r\n", "version"},
    {"HTTP/1.1 20 OK\r\n\r\n", "three digits"},
    {"HTTP/1.1 2000\r\n\r\n", "three digits"},
    {"HTTP/1.1 099 No\r\n\r\n", "three digits"},
    {"HTTP/1.1 101 Switching\r\n\r\n", "switches"},
    {OK "no field\r\n\r\n", "no field"},
    {OK " folded: 1\r\n\r\n", "no field"},
    {OK "bad name: 1\r\n\r\n", "no field"},
    {OK "X: a\x01\r\n\r\n", "control"},
    {OK "Content-Length: +5\r\n\r\n", "decimal"},
    {OK "Content-Length: 5, 5\r\n\r\n", "decimal"},
    {OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "decimal"},
    {OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both"},
    {OK "Transfer-Encoding: gzip, chunked\r\n\r\n", "coding"},
    {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "chunked body"},
};

static void what_is_no_answer_is_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct reading *whole = read_all(bad[i].text, SIZE_MAX, false);
        struct reading *cut = read_all(bad[i].text, 1, false);
        assert_non_null(whole->why);
        if (!strstr(whole->why, bad[i].why))
            fail_msg("%s: %s", bad[i].text, whole->why);
        assert_string_equal(cut->why, whole->why);
        reading_free(whole);
        reading_free(cut);
    }
}

static void names_come_in_lower_case_and_values_trimmed(void **state)
{
    (void)state;
    struct reading *r = read_all(OK "X-Name: \t a B \t\r\nContent-Length: 0\r\n\r\n", 3, false);
    assert_string_equal(r->first, "x-name: a B");
    reading_free(r);
}

/* What follows belongs to nobody: the owner is left with it. */
static void the_answer_ends_where_it_says(void **state)
{
    (void)state;
    struct reading *r = read_all(OK "Content-Length: 2\r\n\r\nhi" OK, SIZE_MAX, false);
    assert_int_equal(r->ends, 1);
    assert_string_equal(buf_cstr(&r->body), "hi");
    assert_int_equal(r->over, strlen(OK));
    reading_free(r);
}

static void an_end_in_the_middle_is_no_end(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "HTTP/1.1 200", OK "Content-Length: 5\r\n\r\nhe",
                                        OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct reading *r = read_all(texts[i], SIZE_MAX, false);
        assert_null(r->why);
        assert_false(answer_ends(&r->answer));
        reading_free(r);
    }
}

static void a_header_is_bounded_in_bytes_and_fields(void **state)
{
    struct buf text = {0};
    (void)state;
    buf_adds(&text, OK "x: ");
    while (text.len <= ANSWER_HEAD_BYTES)
        buf_adds(&text, "0123456789abcdef");
    struct reading *large = read_all(buf_cstr(&text), 4096, false);
    assert_non_null(strstr(large->why, "64 KiB"));
    buf_clear(&text);
    buf_adds(&text, OK);
    for (unsigned i = 0; i <= ANSWER_FIELDS; i++)
        buf_adds(&text, "a: b\r\n");
    buf_adds(&text, "\r\n");
    struct reading *many = read_all(buf_cstr(&text), SIZE_MAX, false);
    assert_non_null(strstr(many->why, "too many"));
    reading_free(large);
    reading_free(many);
    buf_deinit(&text);
}

static void an_answer_is_read_after_another(void **state)
{
    struct reading *r =
        read_all(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 4, false);
    (void)state;
    assert_int_equal(r->ends, 1);
    answer_init(&r->answer, false);
    r->ends = r->heads = 0;
    buf_clear(&r->body);
    offer(r, slice_of("HTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\ny"));
    assert_int_equal(r->status, 201);
    assert_int_equal(r->ends, 1);
    assert_string_equal(buf_cstr(&r->body), "y");
    reading_free(r);
}

/* Which events the bytes are, one letter each; of 1xx and heads also the status. */
static void trace(struct answer *a, const char *text, char *out, size_t size)
{
    struct answer_step step;
    struct slice rest = slice_of(text);
    struct buf copy = {0}, found = {0};
    buf_add(&copy, rest);
    rest = buf_slice(&copy);
    for (enum answer_event event = ANSWER_GOT_HEAD;
         event != ANSWER_GOT_MORE && event != ANSWER_GOT_END && event != ANSWER_GOT_BAD;) {
        event = answer_read(a, rest, &step);
        rest = slice_from(rest, step.used);
        buf_addc(&found, "mIHBEX"[event]);
        if (event == ANSWER_GOT_INTERIM || event == ANSWER_GOT_HEAD)
            buf_addf(&found, "%u", step.head.status);
        if (event == ANSWER_GOT_BODY)
            buf_addf(&found, "(" SLICE_FMT ")", SLICE_ARG(step.body));
    }
    snprintf(out, size, "%s", buf_cstr(&found));
    buf_deinit(&copy);
    buf_deinit(&found);
}

static void interim_answers_are_told_of_when_they_are_wanted(void **state)
{
    (void)state;
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi";
    char found[100];
    struct answer a = {0};
    answer_init(&a, false);
    trace(&a, text, found, sizeof(found));
    assert_string_equal(found, "H200B(hi)E");
    answer_init(&a, false);
    a.tells_interim = true;
    trace(&a, text, found, sizeof(found));
    assert_string_equal(found, "I100I103H200B(hi)E");
    answer_deinit(&a);
}

static void interim_answers_have_a_bound(void **state)
{
    (void)state;
    char found[1000];
    struct buf text = {0};
    struct answer a = {0};
    for (int i = 0; i < ANSWER_INTERIMS; i++)
        buf_adds(&text, "HTTP/1.1 103 Early Hints\r\n\r\n");
    buf_adds(&text, OK "Content-Length: 0\r\n\r\n");
    answer_init(&a, false);
    trace(&a, buf_cstr(&text), found, sizeof(found));
    assert_string_equal(found, "H200E");
    answer_init(&a, false);
    char *more = xasprintf("HTTP/1.1 102 Processing\r\n\r\n%s", buf_cstr(&text));
    trace(&a, more, found, sizeof(found));
    assert_string_equal(found, "X");
    xfree(more);
    answer_deinit(&a);
    buf_deinit(&text);
}

static void another_protocol_is_an_answer_only_when_it_was_asked_for(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                               "Content-Length: 1\r\n\r\nraw bytes";
    char found[100];
    struct answer a = {0};
    answer_init(&a, false);
    trace(&a, text, found, sizeof(found));
    assert_string_equal(found, "X");
    answer_init(&a, false);
    a.may_switch = true;
    trace(&a, text, found, sizeof(found));
    assert_string_equal(found, "H101B(raw bytes)m");
    assert_true(answer_ends(&a));
    assert_false(a.keep_alive);
    answer_deinit(&a);
}

static void trailers_are_kept(void **state)
{
    (void)state;
    char found[100];
    size_t count;
    struct arena arena = {0};
    struct answer a = {0};
    answer_init(&a, false);
    trace(&a,
          OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n"
             "Content-Length: 9\r\n\r\n",
          found, sizeof(found));
    assert_string_equal(found, "H200B(x)E");
    const struct field *fields = answer_trailers(&a, &arena, &count);
    assert_int_equal(count, 1); /* what means something before the body is left out */
    assert_true(slice_is(fields[0].name, "x-sum") && slice_is(fields[0].value, "7"));
    answer_init(&a, false);
    trace(&a, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", found, sizeof(found));
    IGNORE(answer_trailers(&a, &arena, &count) == NULL); /* only their number matters */
    assert_int_equal(count, 0);
    arena_deinit(&arena);
    answer_deinit(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_however_they_are_cut),
        cmocka_unit_test(what_is_no_answer_is_refused_with_the_reason),
        cmocka_unit_test(names_come_in_lower_case_and_values_trimmed),
        cmocka_unit_test(the_answer_ends_where_it_says),
        cmocka_unit_test(an_end_in_the_middle_is_no_end),
        cmocka_unit_test(a_header_is_bounded_in_bytes_and_fields),
        cmocka_unit_test(an_answer_is_read_after_another),
        cmocka_unit_test(interim_answers_are_told_of_when_they_are_wanted),
        cmocka_unit_test(interim_answers_have_a_bound),
        cmocka_unit_test(another_protocol_is_an_answer_only_when_it_was_asked_for),
        cmocka_unit_test(trailers_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
