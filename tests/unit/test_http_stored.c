#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/stored.h"

#include <cmocka.h>

static const struct field fields[] = {
    {{"ETag", 4}, {"\"v1\"", 4}},
    {{"Content-Language", 16}, {"de", 2}},
    {{"last-modified", 13}, {"Sun, 06 Nov 1994 08:49:37 GMT", 29}},
    {{"X-Twice", 7}, {"1", 1}},
    {{"X-Twice", 7}, {"2", 1}},
    {{"Age", 3}, {"7", 1}},
    {{"X-Cache", 7}, {"HIT from elsewhere", 18}},
    {{"Connection", 10}, {"close", 5}},
    {{"Content-Length", 14}, {"999", 3}},
    {{"Date", 4}, {"Thu, 01 Jan 1970 00:00:00 GMT", 29}},
    {{"X-Request-Id", 12}, {"theirs", 6}},
};

static struct stored *make(unsigned status, const char *body)
{
    struct http_answer answer = {
        .status = status,
        .headers = fields,
        .header_count = ARRAY_LEN(fields),
        .content_type = SLICE("text/plain"),
        .body = slice_of(body),
    };
    return stored_new(&(struct stored_form){
        .key = SLICE("key"),
        .vary = SLICE("a\n"),
        .values = SLICE("=1\n"),
        .answer = &answer,
        .fresh = {.ttl_ms = 5000, .age_s = 7},
        .now_ms = 1000,
        .now_s = 784111777,
    });
}

/* Drops it. */
static const char *sent(struct stored *s, struct stored_sending sending,
                        struct http_framing framing)
{
    static char text[1024];
    struct buf out = {0};
    framing.id = SLICE("me");
    sending.stored = s;
    size_t body_bytes;
    struct slice rest = stored_write(&out, &sending, &framing, &body_bytes);
    assert_int_equal(rest.len, 0);
    assert_true(body_bytes <= out.len);
    snprintf(text, sizeof(text), "%s", buf_cstr(&out));
    buf_deinit(&out);
    stored_drop(s);
    return text;
}

#define HEAD_200                                                                               \
    "HTTP/1.1 200 OK\r\n"                                                                      \
    "Content-Language: de\r\n"                                                                 \
    "Content-Type: text/plain\r\n"                                                             \
    "Content-Length: 5\r\n"
#define COMMON                                                                                 \
    "ETag: \"v1\"\r\n"                                                                         \
    "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"                                         \
    "X-Twice: 1\r\n"                                                                           \
    "X-Twice: 2\r\n"                                                                           \
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void a_hit_has_its_age_and_our_fields(void **state)
{
    (void)state;
    assert_string_equal(
        sent(make(200, "hello"), (struct stored_sending){.is_hit = true, .age_s = 12},
             (struct http_framing){0}),
        HEAD_200 COMMON "X-Cache: HIT\r\nAge: 12\r\nX-Request-Id: me\r\n\r\nhello");
}

static void a_miss_has_no_age(void **state)
{
    (void)state;
    assert_string_equal(sent(make(200, "hello"), (struct stored_sending){.age_s = 7},
                             (struct http_framing){.close = true}),
                        HEAD_200 COMMON "X-Cache: MISS\r\nX-Request-Id: me\r\n"
                                        "Connection: close\r\n\r\nhello");
}

static void head_gets_the_length_and_no_body(void **state)
{
    (void)state;
    assert_string_equal(sent(make(200, "hello"), (struct stored_sending){.is_hit = true},
                             (struct http_framing){.to_head = true, .keep_alive = true}),
                        HEAD_200 COMMON "X-Cache: HIT\r\nAge: 0\r\nX-Request-Id: me\r\n"
                                        "Connection: keep-alive\r\n\r\n");
}

static void not_modified_says_nothing_of_the_body(void **state)
{
    (void)state;
    assert_string_equal(sent(make(200, "hello"),
                             (struct stored_sending){.is_hit = true, .not_modified = true},
                             (struct http_framing){0}),
                        "HTTP/1.1 304 Not Modified\r\n" COMMON
                        "X-Cache: HIT\r\nAge: 0\r\nX-Request-Id: me\r\n\r\n");
}

static void no_content_has_no_length(void **state)
{
    (void)state;
    const char *text = sent(make(204, "ignored"), (struct stored_sending){.is_hit = true},
                            (struct http_framing){0});
    assert_null(strstr(text, "Content-Length"));
    assert_null(strstr(text, "ignored"));
}

static void what_it_knows(void **state)
{
    struct stored *s = make(200, "hello");
    (void)state;
    assert_true(slice_is(s->key, "key") && slice_is(s->vary, "a\n"));
    assert_true(slice_is(s->values, "=1\n") && slice_is(s->etag, "\"v1\""));
    assert_int_equal(s->modified_s, 784111777);
    assert_true(stored_fresh(s, 5999));
    assert_false(stored_fresh(s, 6000));
    assert_int_equal(stored_age_s(s, 3999), 9);
    assert_true(s->size > s->head.len + s->body.len + sizeof(*s));
    stored_drop(stored_hold(s));
    assert_int_equal(s->holds, 1);
    stored_drop(s);
    stored_drop(NULL);
}

static void a_large_body_is_left_where_it_lies(void **state)
{
    char *body = xcalloc(1, STORED_COPY_MAX + 2);
    size_t body_bytes;
    struct buf out = {0};
    struct http_framing framing = {.id = SLICE("me")};
    (void)state;
    memset(body, 'x', STORED_COPY_MAX + 1);
    struct stored *s = make(200, body);
    struct stored_sending sending = {.stored = s};
    struct slice rest = stored_write(&out, &sending, &framing, &body_bytes);
    assert_int_equal(body_bytes, STORED_COPY_MAX + 1);
    assert_ptr_equal(rest.ptr, s->body.ptr);
    assert_int_equal(rest.len, s->body.len);
    assert_string_equal(buf_cstr(&out) + out.len - 4, "\r\n\r\n");
    framing.to_head = true;
    assert_int_equal(stored_write(&out, &sending, &framing, &body_bytes).len, 0);
    assert_int_equal(body_bytes, 0);
    stored_drop(s);
    buf_deinit(&out);
    xfree(body);
}

static void a_mark_has_no_answer(void **state)
{
    struct stored *s = stored_new(&(struct stored_form){.key = SLICE("k")});
    (void)state;
    assert_int_equal(s->status, 0);
    assert_true(slice_is(s->key, "k"));
    stored_drop(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_has_its_age_and_our_fields),
        cmocka_unit_test(a_miss_has_no_age),
        cmocka_unit_test(head_gets_the_length_and_no_body),
        cmocka_unit_test(not_modified_says_nothing_of_the_body),
        cmocka_unit_test(no_content_has_no_length),
        cmocka_unit_test(what_it_knows),
        cmocka_unit_test(a_large_body_is_left_where_it_lies),
        cmocka_unit_test(a_mark_has_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
