#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/wsreader.h"

#include <cmocka.h>

enum { LIMIT = 1000 };

/* A frame as a client sends it; `first` holds FIN, RSV and opcode. */
static void add_frame(struct buf *wire, unsigned first, struct slice payload)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    char head[WS_HEAD_MAX];
    size_t size = ws_head_write(head, WS_TEXT, false, payload.len);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    buf_append(wire, head, size);
    buf_append(wire, mask, sizeof(mask));
    ws_unmask(buf_reserve(wire, payload.len), payload.ptr, payload.len, mask, 0);
    wire->len += payload.len;
}

/* What is said, as text: "text(Hello) ping(x) fault 1002". */
static void tell(struct buf *told, const struct ws_event *e)
{
    static const char *const names[] = {"", "binary", "ping", "pong", "close", "fault"};
    if (told->len)
        buf_addc(told, ' ');
    buf_adds(told, e->kind == WS_EVENT_MESSAGE && e->text ? "text" : names[e->kind]);
    if (e->kind == WS_EVENT_CLOSE || e->kind == WS_EVENT_FAULT)
        buf_addf(told, " %u", e->code);
    if (e->kind != WS_EVENT_FAULT)
        buf_addf(told, "(" SLICE_FMT ")", SLICE_ARG(e->bytes));
    else
        assert_true(e->why && strlen(e->why) > 10 && strlen(e->why) <= WS_REASON_MAX);
}

/*
 * Offers the bytes `step` at a time, what was not used again, as a connection does; each time
 * in memory of exactly that size.
 */
static void read_all(struct slice wire, size_t step, bool may_pack, struct buf *told)
{
    struct wsreader reader;
    struct ws_event event = {0};
    size_t from = 0, to = 0;
    wsreader_init(&reader, LIMIT, may_pack);
    while (to < wire.len && event.kind != WS_EVENT_FAULT) {
        to = MIN(to + step, wire.len);
        do {
            size_t len = to - from;
            char *copy = xmalloc(len + 1);
            memcpy(copy, wire.ptr + from, len);
            size_t used = wsreader_read(&reader, (struct slice){copy, len}, &event);
            xfree(copy);
            assert_true(used <= len);
            from += used;
            if (event.kind)
                tell(told, &event);
        } while (event.kind && event.kind != WS_EVENT_FAULT);
    }
    wsreader_deinit(&reader);
}

static void assert_read(struct slice wire, bool may_pack, const char *expected)
{
    for (size_t step = 1; step <= wire.len + 1; step += step < 20 ? 1 : wire.len) {
        struct buf told = {0};
        read_all(wire, step, may_pack, &told);
        assert_string_equal(buf_cstr(&told), expected);
        buf_deinit(&told);
    }
}

struct frame {
    unsigned first;
    struct slice payload;
};

struct frames_case {
    struct frame frames[6];
    const char *expected;
};

#define S(lit)                                                                                 \
    {                                                                                          \
        "" lit, sizeof(lit) - 1                                                                \
    }

static const struct frames_case cases[] = {
    {{{0x81, S("Hello")}}, "text(Hello)"},
    {{{0x82, S("Hello")}}, "binary(Hello)"},
    {{{0x81, S("")}}, "text()"},
    {{{0x82, S("")}, {0x81, S("a")}}, "binary() text(a)"},
    {{{0x89, S("")}, {0x89, S("x")}, {0x8A, S("y")}}, "ping() ping(x) pong(y)"},
    {{{0x01, S("Hel")}, {0x80, S("lo")}}, "text(Hello)"},
    {{{0x01, S("")}, {0x00, S("")}, {0x80, S("")}}, "text()"},
    {{{0x01, S("")}, {0x00, S("mid")}, {0x80, S("")}}, "text(mid)"},
    {{{0x01, S("a")}, {0x89, S("p")}, {0x00, S("b")}, {0x8A, S("q")}, {0x80, S("c")}},
     "ping(p) pong(q) text(abc)"},
    {{{0x01, S("a")}, {0x88, S("\x03\xE8")}, {0x80, S("b")}}, "close 1000() text(ab)"},

    {{{0x80, S("x")}}, "fault 1002"},
    {{{0x00, S("x")}, {0x80, S("y")}}, "fault 1002"},
    {{{0x01, S("x")}, {0x81, S("y")}}, "fault 1002"},
    {{{0x01, S("x")}, {0x02, S("y")}}, "fault 1002"},
    {{{0x81, S("x")}, {0x80, S("y")}}, "text(x) fault 1002"},
    {{{0xC1, S("x")}}, "fault 1002"}, /* RSV1 without compression */
    {{{0xC9, S("x")}}, "fault 1002"},

    /* UTF-8: also across fragments, and never of binary messages. */
    {{{0x81, S("\xCE\xBA\xE1\xBD\xB9")}}, "text(\xCE\xBA\xE1\xBD\xB9)"},
    {{{0x01, S("\xCE")}, {0x80, S("\xBA")}}, "text(\xCE\xBA)"},
    {{{0x81, S("\xCE")}}, "fault 1007"},
    {{{0x01, S("ab\xFF")}, {0x80, S("c")}}, "fault 1007"},
    {{{0x01, S("\xED")}, {0x80, S("\xA0")}}, "fault 1007"},
    {{{0x81, S("\xF4\x90\x80\x80")}}, "fault 1007"},
    {{{0x02, S("\xCE")}, {0x80, S("\xFF")}}, "binary(\xCE\xFF)"},
    {{{0x81, S("\xCE\xBA")}, {0x82, S("\xFF")}, {0x81, S("x")}},
     "text(\xCE\xBA) binary(\xFF) text(x)"},

    {{{0x88, S("")}}, "close 1005()"},
    {{{0x88, S("\x03\xE8")}}, "close 1000()"},
    {{{0x88, S("\x03\xE9 bye")}}, "close 1001( bye)"},
    {{{0x88, S("\x13\x87")}}, "close 4999()"},
    {{{0x88, S("\x03")}}, "fault 1002"},
    {{{0x88, S("\x03\xED")}}, "fault 1002"}, /* 1005 */
    {{{0x88, S("\x03\xEE")}}, "fault 1002"}, /* 1006 */
    {{{0x88, S("\x03\xEC")}}, "fault 1002"}, /* 1004 */
    {{{0x88, S("\x03\xF7")}}, "fault 1002"}, /* 1015 */
    {{{0x88, S("\x00\x00")}}, "fault 1002"},
    {{{0x88, S("\x13\x88")}}, "fault 1002"}, /* 5000 */
    {{{0x88, S("\x03\xE8\xFF")}}, "fault 1007"},
    {{{0x88, S("\x03\xE8\xCE")}}, "fault 1007"},
};

static void frames_say_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf wire = {0};
        for (size_t n = 0; n < ARRAY_LEN(cases[i].frames) && cases[i].frames[n].payload.ptr;
             n++)
            add_frame(&wire, cases[i].frames[n].first, cases[i].frames[n].payload);
        assert_read(buf_slice(&wire), false, cases[i].expected);
        buf_deinit(&wire);
    }
}

/* A continuation has no bits set when it is not the last one. */
static void a_message_may_come_in_any_number_of_fragments(void **state)
{
    struct buf wire = {0}, expected = {0};
    (void)state;
    buf_adds(&expected, "text(");
    for (int i = 0; i < 200; i++) {
        char c = (char)('a' + i % 26);
        add_frame(&wire, i == 0 ? 0x01 : i == 199 ? 0x80 : 0x00, (struct slice){&c, 1});
        buf_addc(&expected, c);
    }
    buf_addc(&expected, ')');
    assert_read(buf_slice(&wire), false, buf_cstr(&expected));
    buf_deinit(&wire);
    buf_deinit(&expected);
}

/* ------------------------------------------------------------------- limits */

static void add_head(struct buf *wire, unsigned first, uint64_t length)
{
    char head[WS_HEAD_MAX];
    size_t size = ws_head_write(head, WS_TEXT, false, (size_t)length);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    buf_append(wire, head, size);
    buf_append(wire, "\0\0\0\0", 4);
}

static void a_message_that_is_too_big_is_refused_by_its_head(void **state)
{
    char payload[LIMIT] = {0};
    struct buf wire = {0};
    (void)state;
    add_head(&wire, 0x82, LIMIT + 1);
    assert_read(buf_slice(&wire), false, "fault 1009");

    buf_clear(&wire);
    add_head(&wire, 0x82, INT64_MAX);
    assert_read(buf_slice(&wire), false, "fault 1009");

    buf_clear(&wire);
    add_frame(&wire, 0x02, (struct slice){payload, LIMIT});
    add_head(&wire, 0x80, 1);
    assert_read(buf_slice(&wire), false, "fault 1009");

    buf_clear(&wire);
    add_frame(&wire, 0x02, (struct slice){payload, LIMIT - 1});
    add_head(&wire, 0x00, INT64_MAX);
    assert_read(buf_slice(&wire), false, "fault 1009");
    buf_deinit(&wire);
}

static void a_message_may_be_as_big_as_the_limit(void **state)
{
    struct buf wire = {0};
    struct wsreader reader;
    struct ws_event event;
    char payload[LIMIT];
    (void)state;
    memset(payload, 'x', sizeof(payload));
    wsreader_init(&reader, LIMIT, false);
    for (int i = 0; i < 2; i++) { /* the count begins anew with each */
        buf_clear(&wire);
        add_frame(&wire, 0x01, (struct slice){payload, LIMIT / 2});
        add_frame(&wire, 0x80, (struct slice){payload, LIMIT / 2});
        assert_int_equal(wsreader_read(&reader, buf_slice(&wire), &event), wire.len);
        assert_int_equal(event.kind, WS_EVENT_MESSAGE);
        assert_int_equal(event.bytes.len, LIMIT);
    }
    wsreader_deinit(&reader);
    buf_deinit(&wire);
}

/* What is announced is not yet there: nothing may be allocated for it. */
static void memory_is_taken_for_what_came_only(void **state)
{
    struct buf wire = {0};
    struct wsreader reader;
    struct ws_event event;
    (void)state;
    add_head(&wire, 0x82, 64 << 20);
    buf_addc(&wire, 'x');
    wsreader_init(&reader, 64 << 20, false);
    wsreader_read(&reader, buf_slice(&wire), &event);
    assert_int_equal(event.kind, WS_EVENT_NONE);
    assert_true(reader.message.cap < 4096);
    wsreader_deinit(&reader);
    buf_deinit(&wire);
}

static void an_idle_reader_holds_next_to_nothing(void **state)
{
    struct buf wire = {0}, payload = {0};
    struct wsreader reader;
    struct ws_event event;
    (void)state;
    memset(buf_reserve(&payload, 300000), 'x', 300000);
    payload.len = 300000;
    add_frame(&wire, 0x82, buf_slice(&payload));
    wsreader_init(&reader, 1 << 20, true);
    wsreader_read(&reader, buf_slice(&wire), &event);
    assert_int_equal(event.kind, WS_EVENT_MESSAGE);
    wsreader_forget(&reader);
    assert_true(reader.message.cap <= 1024 && !reader.unpacker);
    wsreader_deinit(&reader);
    buf_deinit(&wire);
    buf_deinit(&payload);
}

/* ---------------------------------------------------------------- compression */

/* RFC 7692, 7.2.3: the examples. */
static const struct frames_case packed_cases[] = {
    {{{0xC1, S("\xF2\x48\xCD\xC9\xC9\x07\x00")}}, "text(Hello)"},
    {{{0x41, S("\xF2\x48\xCD")}, {0x80, S("\xC9\xC9\x07\x00")}}, "text(Hello)"},
    {{{0xC1, S("\x00\x05\x00\xFA\xFF\x48\x65\x6C\x6C\x6F\x00")}}, "text(Hello)"},
    {{{0xC1, S("\xF3\x48\xCD\xC9\xC9\x07\x00\x00")}}, "text(Hello)"},
    {{{0xC1, S("\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00")}}, "text(Hello)"},
    {{{0xC1, S("\xF3\x48\xCD\xC9\xC9\x07\x00")}}, "text(Hello)"}, /* a last block, no more */
    {{{0xC2, S("\x00")}}, "binary()"},
    {{{0xC1, S("\x00")}, {0x81, S("plain")}, {0xC1, S("\xF2\x48\xCD\xC9\xC9\x07\x00")}},
     "text() text(plain) text(Hello)"},
    {{{0x41, S("\xF2\x48\xCD")}, {0x89, S("p")}, {0x80, S("\xC9\xC9\x07\x00")}},
     "ping(p) text(Hello)"},
    {{{0x41, S("\xF2\x48\xCD")}, {0xC0, S("\xC9\xC9\x07\x00")}}, "fault 1002"},
    {{{0xC9, S("p")}}, "fault 1002"},
    {{{0xC1, S("\xFF\xFF\xFF")}}, "fault 1007"},
    {{{0xC1, S("\xF2\x48\xCD")}}, "fault 1007"},                 /* cut off in a block */
    {{{0xC1, S("\x00\x05\x00\xFA\xFFHel")}}, "fault 1007"},      /* cut off in a stored block */
    {{{0xC1, S("\x00\x01\x00\xFE\xFF\xFF\x00")}}, "fault 1007"}, /* "\xFF" is no text */
    {{{0xC2, S("\x00\x01\x00\xFE\xFF\xFF\x00")}}, "binary(\xFF)"},
    {{{0xC1, S("\x00\x01\x00\xFE\xFF\xCE\x00")}}, "fault 1007"}, /* ends within a character */
};

static void packed_frames_say_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(packed_cases); i++) {
        const struct frames_case *c = &packed_cases[i];
        struct buf wire = {0};
        for (size_t n = 0; n < ARRAY_LEN(c->frames) && c->frames[n].payload.ptr; n++)
            add_frame(&wire, c->frames[n].first, c->frames[n].payload);
        assert_read(buf_slice(&wire), true, c->expected);
        buf_deinit(&wire);
    }
}

/* A reference to a message before this one has nothing to refer to. */
static void no_context_is_taken_over(void **state)
{
    struct buf wire = {0};
    (void)state;
    add_frame(&wire, 0xC1, (struct slice)S("\xF2\x48\xCD\xC9\xC9\x07\x00"));
    add_frame(&wire, 0xC1, (struct slice)S("\xF2\x00\x11\x00\x00"));
    assert_read(buf_slice(&wire), true, "text(Hello) fault 1007");
    buf_deinit(&wire);
}

static void a_bomb_takes_no_more_memory_than_a_message_may(void **state)
{
    struct buf wire = {0}, zeros = {0}, packed = {0};
    struct wsreader reader;
    struct ws_event event;
    struct packer *packer = packer_new();
    (void)state;
    memset(buf_reserve(&zeros, 10 << 20), 0, 10 << 20);
    zeros.len = 10 << 20;
    assert_true(packer_pack(packer, 15, buf_slice(&zeros), &packed));
    assert_true(packed.len < 64 * 1024);
    wsreader_init(&reader, 100000, true);
    add_frame(&wire, 0xC2, buf_slice(&packed));
    wsreader_read(&reader, buf_slice(&wire), &event);
    assert_int_equal(event.kind, WS_EVENT_FAULT);
    assert_int_equal(event.code, WS_TOO_BIG);
    assert_true(reader.message.cap <= 256 * 1024);
    wsreader_deinit(&reader);
    packer_free(packer);
    buf_deinit(&wire);
    buf_deinit(&zeros);
    buf_deinit(&packed);
}

/* Empty blocks unpack to nothing, and could go on for ever. */
static void a_message_of_empty_blocks_comes_to_an_end(void **state)
{
    struct buf wire = {0};
    (void)state;
    add_frame(&wire, 0x42, (struct slice)S("\x00\x00\x00\xFF\xFF"));
    for (int i = 0; i < 3 * LIMIT / 5; i++)
        add_frame(&wire, 0x00, (struct slice)S("\x00\x00\x00\xFF\xFF"));
    assert_read(buf_slice(&wire), true, "fault 1009");
    buf_deinit(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_say_what_they_say),
        cmocka_unit_test(a_message_may_come_in_any_number_of_fragments),
        cmocka_unit_test(a_message_that_is_too_big_is_refused_by_its_head),
        cmocka_unit_test(a_message_may_be_as_big_as_the_limit),
        cmocka_unit_test(memory_is_taken_for_what_came_only),
        cmocka_unit_test(an_idle_reader_holds_next_to_nothing),
        cmocka_unit_test(packed_frames_say_what_they_say),
        cmocka_unit_test(no_context_is_taken_over),
        cmocka_unit_test(a_bomb_takes_no_more_memory_than_a_message_may),
        cmocka_unit_test(a_message_of_empty_blocks_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
