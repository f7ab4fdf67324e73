/* What the shared vectors cannot say: slices, ownership, and the writers' corner cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/c/frame.h"
#include "protocol/c/ready.h"

#include <cmocka.h>

static struct frame frame_of(const char *line)
{
    struct frame f;
    assert_int_equal(frame_read(slice_of(line), &f), FRAME_OK);
    return f;
}

static void assert_text(struct buf *b, const char *expected)
{
    assert_string_equal(buf_cstr(b), expected);
    assert_int_equal(b->len, strlen(expected));
    buf_deinit(b);
}

static void a_frame_borrows_from_its_line(void **state)
{
    (void)state;
    static const char line[] =
        " 10%{\"id\":1,\"headers\":{\"a\":\"b\"},\"body\":\"x\\n\",\"reason\":\"Fine\"} \r";
    struct frame f = frame_of(line);
    assert_ptr_equal(f.prefix.ptr, line);
    assert_true(slice_is(f.prefix, " 10%"));
    assert_ptr_equal(f.text.ptr, line + 4);
    assert_true(f.text.ptr[f.text.len - 1] == '}');
    assert_ptr_equal(f.body.raw.ptr, strstr(line, "\"x\\n\""));
    assert_true(f.body.escaped);
    assert_true(slice_is(f.headers.raw, "{\"a\":\"b\"}"));
    assert_true(slice_is(f.reason.raw, "\"Fine\""));
    assert_true(slice_is(f.id.raw, "1"));
}

static void what_was_absent_reads_as_absent(void **state)
{
    (void)state;
    struct frame f = frame_of("{\"type\":\"log\",\"message\":\"x\"}");
    assert_int_equal(f.id.kind, FRAME_ID_NONE);
    assert_true(slice_is(f.id.raw, "null"));
    assert_int_equal(f.for_id.kind, FRAME_ID_NONE);
    assert_int_equal(f.body_kind, FRAME_BODY_NONE);
    assert_int_equal(f.level.raw.len, 0);
    assert_int_equal(f.payload.raw.len, 0);
    assert_int_equal(f.status, 0);
    assert_false(f.has_timeout);
    f = frame_of("{\"type\":\"ask\",\"id\":1,\"token\":\"A\",\"timeout\":0}");
    assert_true(f.has_timeout);
}

static void a_broken_frame_keeps_only_what_names_it(void **state)
{
    (void)state;
    struct frame f;
    struct slice line = SLICE("{\"id\":5,\"body\":\"x\",\"headers\":{},\"status\":\"200\"}");
    assert_int_equal(frame_read(line, &f), FRAME_BROKEN);
    assert_int_equal(f.kind, FRAME_RESPONSE);
    assert_int_equal(f.id.number, 5);
    assert_int_equal(f.body_kind, FRAME_BODY_NONE);
    assert_int_equal(f.body.raw.len, 0);
    assert_int_equal(f.headers.raw.len, 0);
    assert_int_equal(f.status, 0);
}

static void the_id_with_and_without_the_fast_path_is_the_same(void **state)
{
    (void)state;

    static const struct {
        const char *digits;
        enum frame_verdict verdict;
    } cases[] = {
        {"0", FRAME_OK},
        {"7", FRAME_OK},
        {"10", FRAME_OK},
        {"00", FRAME_BROKEN},
        {"07", FRAME_BROKEN},
        {"-0", FRAME_STRAY},
        {"", FRAME_BROKEN},
        {"12345678901234", FRAME_OK},
        {"123456789012345", FRAME_OK},
        {"1234567890123456", FRAME_OK},
        {"9007199254740991", FRAME_OK},
        {"9007199254740992", FRAME_STRAY},
        {"1e2", FRAME_STRAY},
        {"1.0", FRAME_STRAY},
    };

    static const char *const shapes[] = {
        "{\"id\":%s,\"body\":\"plain text\"}",
        "{\"id\": %s ,\"body\":\"plain text\"}",
        "{\"body\":\"plain text\",\"id\":%s}",
        "{\"id\":%s,\"more\":true}",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(shapes); i++) {
        size_t at = i / ARRAY_LEN(shapes);
        char *line = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        line = xasprintf(shapes[i % ARRAY_LEN(shapes)], cases[at].digits);
#pragma GCC diagnostic pop
        struct frame f;
        if (frame_read(slice_of(line), &f) != cases[at].verdict)
            fail_msg("%s", line);
        if (cases[at].verdict == FRAME_OK)
            assert_true(slice_is(f.id.raw, cases[at].digits));
        xfree(line);
    }
}

static void only_an_id_of_ours_may_fail_a_request(void **state)
{
    (void)state;

    static const struct {
        const char *line;
        bool ours;
    } cases[] = {
        {"{\"id\":7,\"body\":1}", true},
        {"{\"id\":7,\"body\":\"x", true},
        {"{\"type\":\"answer\",\"id\":7,\"value\":[", true},
        {"{\"type\":\"error\",\"id\":7,\"code\":1}", true},
        {"{\"id\":7,\"value\":[,\"type\":\"answer\"}", true},
        {"{\"type\":\"ask\",\"id\":7,\"token\":1}", false},
        {"{\"type\":\"ask\",\"id\":7,\"args\":[", false},
        {"{\"type\":\"cancel\",\"id\":7,\"reason\":1}", false},
        {"{\"type\":\"chunk\",\"id\":7}", true},
        {"{\"type\":\"chunk\",\"id\":7,\"body64\":\"AAA", true},
        {"{\"type\":\"end\",\"id\":7,\"code\":1}", true},
        {"{\"type\":\"credit\",\"id\":7}", true},
        {"{\"type\":\"message\",\"id\":7,\"body\":1}", true},
        {"{\"type\":\"info\",\"id\":7,\"status\":200}", true},
        {"{\"id\":7,\"file\":\"a\"}", true},
        {"{\"type\":\"publish\",\"id\":7,\"data\":", false},
        {"{\"type\":\"answer\",\"type\":\"ask\",\"id\":7}", false},
        {"{\"id\":7,\"id\":8,\"body\":\"x\"}", false},
        {"{\"json\":{\"id\":7,\"x\":NaN", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct frame f;
        assert_int_equal(frame_read(slice_of(cases[i].line), &f), FRAME_BROKEN);
        if (frame_answers(&f) != cases[i].ours)
            fail_msg("%s", cases[i].line);
        if (cases[i].ours)
            assert_int_equal(f.id.number, 7);
    }
}

static void an_id_is_salvaged_only_when_it_is_whole(void **state)
{
    (void)state;
    static const char line[] = "{\"id\":123,\"body\":\"0123456789";
    for (size_t len = 0; len < sizeof(line); len++) {
        struct frame_id id = frame_salvage_id((struct slice){line, len});
        bool whole = len >= sizeof("{\"id\":123,") - 1;
        assert_int_equal(id.kind, whole ? FRAME_ID_NUMBER : FRAME_ID_NONE);
        if (whole)
            assert_int_equal(id.number, 123);
        else
            assert_true(slice_is(id.raw, "null"));
    }
    assert_int_equal(frame_salvage_id(SLICE("text {\"id\":1,")).kind, FRAME_ID_NONE);
    assert_int_equal(frame_salvage_id(SLICE("{\"type\":\"ask\",\"id\":1,")).kind,
                     FRAME_ID_NONE);
    assert_int_equal(frame_salvage_id(SLICE("")).kind, FRAME_ID_NONE);
}

static void bodies_are_decoded_to_bytes(void **state)
{
    (void)state;

    static const struct {
        const char *line, *bytes;
        int size; /* -1: not cheap */
    } cases[] = {
        {"{\"id\":1,\"status\":204}", "", 0},
        {"{\"id\":1,\"body\":\"plain \u20ac\"}", "plain \u20ac", 9},
        {"{\"id\":1,\"body\":\"a\\nb\"}", "a\nb", -1},
        {"{\"id\":1,\"body64\":\"Zm9vYg==\"}", "foob", 4},
        {"{\"id\":1,\"body64\":\"Pz8\\/\"}", "???", -1},
        {"{\"id\":1,\"json\": {\"a\": [1, 2]} }", "{\"a\": [1, 2]}", 13},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct frame f = frame_of(cases[i].line);
        struct buf out = {0};
        size_t size = 4711;
        assert_int_equal(frame_body_size(&f, &size), cases[i].size >= 0);
        if (cases[i].size >= 0)
            assert_int_equal(size, cases[i].size);
        frame_body_decode(&f, &out);
        assert_text(&out, cases[i].bytes);
    }
}

static void only_a_dirty_line_is_copied(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct slice clean = SLICE("{\"id\":1,\"body\":\"\\ud83d\\ude00 \u20ac\"}");
    assert_ptr_equal(frame_line_clean(clean, &scratch).ptr, clean.ptr);
    assert_int_equal(scratch.len, 0);
    struct frame f;
    struct slice dirty = SLICE("{\"id\":1,\"body\":\"\xff\"}");
    assert_int_equal(frame_read(dirty, &f), FRAME_OK);
    assert_true(f.dirty);
    dirty = frame_line_clean(dirty, &scratch);
    assert_ptr_equal(dirty.ptr, scratch.ptr);
    assert_true(slice_is(dirty, "{\"id\":1,\"body\":\"\ufffd\"}"));
    assert_int_equal(frame_read(dirty, &f), FRAME_OK);
    assert_false(f.dirty);
    dirty = frame_line_clean(SLICE("\xff again"), &scratch);
    assert_true(slice_is(dirty, "\ufffd again"));
    buf_deinit(&scratch);
}

static void header_fields_of_one_name_become_one_array(void **state)
{
    (void)state;
    const struct field headers[] = {
        {SLICE("accept"), SLICE("a")}, {SLICE("cookie"), SLICE("1")},
        {SLICE("accept"), SLICE("")},  {SLICE("host"), SLICE("h")},
        {SLICE("cookie"), SLICE("2")}, {SLICE("accept"), SLICE("\xe9")},
    };
    const struct frame_request request = {
        .method = SLICE("GET"),
        .path = SLICE("/"),
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
    };
    struct buf out = {0};
    frame_write_request_tail(&out, &request);
    assert_text(&out, "\"method\":\"GET\",\"path\":\"/\",\"headers\":{\"accept\":[\"a\",\"\","
                      "\"\u00e9\"],\"cookie\":[\"1\",\"2\"],\"host\":\"h\"}}\n");
}

static void a_request_line_holds_no_second_line(void **state)
{
    (void)state;
    const struct field fields[] = {{SLICE("x\n"), SLICE("a\r\nb")}};
    const struct frame_request request = {
        .method = SLICE("G\nET"),
        .path = SLICE("/\n"),
        .has_query = true,
        .query = SLICE("\r\n"),
        .headers = fields,
        .header_count = 1,
        .ip = SLICE("\n"),
        .params = fields,
        .param_count = 1,
        .token = SLICE("\n"),
        .body = SLICE("\n\r\u2028\n"),
    };
    struct buf tail = {0}, line = {0};
    frame_write_request_tail(&tail, &request);
    frame_write_request(&line, 1, 2, buf_slice(&tail));
    assert_ptr_equal(memchr(line.ptr, '\n', line.len), line.ptr + line.len - 1);
    assert_null(memchr(line.ptr, '\r', line.len));
    buf_deinit(&tail);
    buf_deinit(&line);
}

static void text_goes_as_text_until_escapes_make_it_long(void **state)
{
    (void)state;
    for (size_t controls = 0; controls <= 64; controls++) {
        char body[64];
        memset(body, 'x', sizeof(body));
        memset(body, '\x01', controls);
        const struct frame_request request = {
            .method = SLICE("POST"),
            .path = SLICE("/"),
            .body = {body, sizeof(body)},
        };
        struct buf out = {0};
        frame_write_request_tail(&out, &request);
        bool text = strstr(buf_cstr(&out), "\"body\":") != NULL;
        assert_int_equal(text, controls <= sizeof(body) / 8);
        assert_int_equal(strstr(buf_cstr(&out), "\"body64\":") != NULL, !text);
        buf_deinit(&out);
    }
}

/* The members of the one frame that a buffer holds, taken apart again. */
static struct frame frame_of_buf(const struct buf *b)
{
    struct frame f;
    assert_true(b->len > 0 && b->ptr[b->len - 1] == '\n');
    assert_null(memchr(b->ptr, '\n', b->len - 1));
    assert_int_equal(frame_read((struct slice){b->ptr, b->len - 1}, &f), FRAME_OK);
    return f;
}

static void a_chunk_of_any_bytes_comes_back_as_it_was(void **state)
{
    (void)state;
    static char bytes[FRAME_CHUNK_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 256);
    static const size_t sizes[] = {0, 1, 2, 3, 47, 48, 49, 1000, FRAME_CHUNK_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf line = {0}, back = {0};
        frame_write_chunk(&line, 17, (struct slice){bytes, sizes[i]});
        struct frame f = frame_of_buf(&line);
        size_t size = 4711;
        assert_int_equal(f.kind, FRAME_CHUNK);
        assert_int_equal(f.id.number, 17);
        assert_true(frame_body_size(&f, &size));
        assert_int_equal(size, sizes[i]);
        frame_body_decode(&f, &back);
        assert_true(slice_eq(buf_slice(&back), (struct slice){bytes, sizes[i]}));
        buf_deinit(&line);
        buf_deinit(&back);
    }
}

static void a_chunk_is_text_only_when_text_is_cheaper_to_read(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[40];
        struct buf line = {0};
        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 1] = (char)c;
        frame_write_chunk(&line, 1, (struct slice){text, sizeof(text)});
        bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        assert_int_equal(frame_of_buf(&line).body_kind,
                         plain ? FRAME_BODY_TEXT : FRAME_BODY_BASE64);
        buf_deinit(&line);
    }
}

static void a_message_keeps_its_kind(void **state)
{
    (void)state;
    static const char text[] = "\x01\x02\x03 \"\u20ac\"";
    for (int is_text = 0; is_text < 2; is_text++) {
        struct buf line = {0}, back = {0};
        frame_write_message(&line, 1, is_text, slice_of(text));
        struct frame f = frame_of_buf(&line);
        assert_int_equal(f.kind, FRAME_MESSAGE);
        assert_int_equal(f.body_kind, is_text ? FRAME_BODY_TEXT : FRAME_BODY_BASE64);
        frame_body_decode(&f, &back);
        assert_true(slice_is(buf_slice(&back), text));
        buf_deinit(&line);
        buf_deinit(&back);
    }
}

static void an_end_says_only_what_there_is_to_say(void **state)
{
    (void)state;
    const struct field trailers[] = {
        {SLICE("x-a"), SLICE("1")},
        {SLICE("x-b"), SLICE("\xe9")},
        {SLICE("x-a"), SLICE("2")},
    };
    struct buf out = {0};
    frame_write_end(&out, 1, &(struct frame_end){0});
    frame_write_end(&out, 2, &(struct frame_end){.trailers = trailers, .trailer_count = 3});
    frame_write_end(&out, 3, &(struct frame_end){.close_code = 1001, .reason = SLICE("a\nb")});
    frame_write_credit(&out, 4, 131072);
    assert_text(&out, "{\"type\":\"end\",\"id\":1}\n"
                      "{\"type\":\"end\",\"id\":2,\"trailers\":{\"x-a\":[\"1\",\"2\"],"
                      "\"x-b\":\"\u00e9\"}}\n"
                      "{\"type\":\"end\",\"id\":3,\"code\":1001,\"reason\":\"a\\nb\"}\n"
                      "{\"type\":\"credit\",\"id\":4,\"bytes\":131072}\n");
}

static void what_follows_a_body_in_pieces_is_said_before_it(void **state)
{
    (void)state;
    const struct frame_request request = {
        .method = SLICE("PUT"),
        .path = SLICE("/"),
        .upgrade = SLICE("h2c"),
        .more = true,
        .body = SLICE("begin"),
    };
    struct buf out = {0};
    frame_write_request_tail(&out, &request);
    assert_text(&out, "\"method\":\"PUT\",\"path\":\"/\",\"upgrade\":\"h2c\",\"more\":true,"
                      "\"body\":\"begin\"}\n");
}

static void a_file_has_a_range(void **state)
{
    (void)state;
    struct frame f = frame_of("{\"id\":1,\"file\":\"/a\"}");
    assert_true(slice_is(f.file.raw, "\"/a\""));
    assert_false(f.has_length);
    f = frame_of("{\"id\":1,\"file\":\"/a\",\"offset\":5,\"length\":0}");
    assert_int_equal(f.offset, 5);
    assert_true(f.has_length);
    assert_int_equal(f.length, 0);
    assert_false(frame_of("{\"type\":\"end\",\"id\":1,\"length\":5}").has_length);
}

static void writers_append(void **state)
{
    (void)state;
    struct buf out = {0};
    frame_write_ping(&out, 1);
    frame_write_answer(&out, SLICE("\"a\""), (struct slice){0});
    frame_write_error(&out, (struct slice){0}, "internal", SLICE("line\nbreak"),
                      (struct slice){0});
    frame_write_cancel(&out, 18446744073709551615u, "shutdown");
    assert_text(&out,
                "{\"type\":\"ping\",\"id\":1}\n"
                "{\"type\":\"answer\",\"id\":\"a\",\"value\":null}\n"
                "{\"type\":\"error\",\"id\":null,\"code\":\"internal\",\"message\":"
                "\"line\\nbreak\"}\n"
                "{\"type\":\"cancel\",\"id\":18446744073709551615,\"reason\":\"shutdown\"}\n");
}

static void codes_have_their_status(void **state)
{
    (void)state;

    static const struct {
        const char *code;
        unsigned status;
    } cases[] = {
        {"invalid_argument", 400},
        {"unauthenticated", 401},
        {"permission_denied", 403},
        {"not_found", 404},
        {"already_exists", 409},
        {"aborted", 409},
        {"failed_precondition", 412},
        {"resource_exhausted", 429},
        {"cancelled", 499},
        {"internal", 500},
        {"unimplemented", 501},
        {"unavailable", 503},
        {"deadline_exceeded", 504},
        {"teapot", 500},
        {"", 500},
        {"not_foun", 500},
        {"NOT_FOUND", 500},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(frame_code_status(slice_of(cases[i].code)), cases[i].status);
}

static void ready_outlives_its_line(void **state)
{
    (void)state;
    char *line =
        xstrdup("loading...{\"type\":\"ready\",\"sdk\":\"me/1\",\"tokens\":[\"A\",\"B\"],"
                "\"headers\":[\"X-A\"],\"routes\":[{\"path\":\"/a\",\"method\":\"get\"}]}");
    struct ready r;
    struct err err;
    assert_true(ready_read(slice_of(line), &r, &err));
    memset(line, '#', strlen(line));
    xfree(line);
    assert_true(slice_is(r.sdk, "me/1"));
    assert_int_equal(r.token_count, 2);
    assert_true(slice_is(r.tokens[1], "B"));
    assert_true(slice_is(r.header_names[0], "x-a"));
    assert_true(slice_is(r.routes[0].path, "/a"));
    assert_true(slice_is(r.routes[0].method, "GET"));
    ready_deinit(&r);
    assert_int_equal(r.token_count, 0);
}

static void an_unusable_ready_says_what_it_was_and_what_it_must_be(void **state)
{
    (void)state;

    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"{\"type\":\"ready\",\"concurrency\":\"4\"}",
         "ready: concurrency is \"4\"; it must be a whole number 1 to 100000"},
        {"{\"type\":\"ready\",\"protocol\":2}",
         "ready: protocol is 2; it must be 1, the version that this supervisor speaks"},
        {"{\"type\":\"ready\",\"routes\":[{\"path\":\"/a\"},{\"method\":\"get\"}]}",
         "ready: a route's path is missing; it must be a text that begins with /"},
        {"{\"type\":\"ready\",\"sdk\":["
         "\"\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
         "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\"]}",
         "ready: sdk is "
         "[\"\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
         "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac...; it must be a string"},
        {"{\"id\":1,\"body\":\"x\"}", "ready: the line is no ready frame"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ready r = {.concurrency = 4711};
        struct err err;
        assert_false(ready_read(slice_of(cases[i].line), &r, &err));
        assert_string_equal(err.text, cases[i].sentence);
        assert_int_equal(r.concurrency, 4711); /* written only on success */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_borrows_from_its_line),
        cmocka_unit_test(what_was_absent_reads_as_absent),
        cmocka_unit_test(a_broken_frame_keeps_only_what_names_it),
        cmocka_unit_test(the_id_with_and_without_the_fast_path_is_the_same),
        cmocka_unit_test(only_an_id_of_ours_may_fail_a_request),
        cmocka_unit_test(an_id_is_salvaged_only_when_it_is_whole),
        cmocka_unit_test(bodies_are_decoded_to_bytes),
        cmocka_unit_test(only_a_dirty_line_is_copied),
        cmocka_unit_test(header_fields_of_one_name_become_one_array),
        cmocka_unit_test(a_request_line_holds_no_second_line),
        cmocka_unit_test(text_goes_as_text_until_escapes_make_it_long),
        cmocka_unit_test(a_chunk_of_any_bytes_comes_back_as_it_was),
        cmocka_unit_test(a_chunk_is_text_only_when_text_is_cheaper_to_read),
        cmocka_unit_test(a_message_keeps_its_kind),
        cmocka_unit_test(an_end_says_only_what_there_is_to_say),
        cmocka_unit_test(what_follows_a_body_in_pieces_is_said_before_it),
        cmocka_unit_test(a_file_has_a_range),
        cmocka_unit_test(writers_append),
        cmocka_unit_test(codes_have_their_status),
        cmocka_unit_test(ready_outlives_its_line),
        cmocka_unit_test(an_unusable_ready_says_what_it_was_and_what_it_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
