#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/handshake.h"

#include <cmocka.h>

#define FIELD(n, v)                                                                            \
    {                                                                                          \
        {"" n, sizeof(n) - 1},                                                                 \
        {                                                                                      \
            "" v, sizeof(v) - 1                                                                \
        }                                                                                      \
    }
#define KEY     FIELD("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
#define VERSION FIELD("sec-websocket-version", "13")

enum { FIELDS = 4 };

static struct http_request request_of(const struct field *fields)
{
    size_t count = 0;
    while (count < FIELDS && fields[count].name.len)
        count++;
    return (struct http_request){
        .method = SLICE("GET"), .headers = fields, .header_count = count};
}

static void a_bad_handshake_is_refused_with_a_reason(void **state)
{
    static const struct {
        struct field fields[FIELDS];
        unsigned status;
        const char *detail;
    } cases[] = {
        {{KEY, VERSION}, 0, NULL},
        {{VERSION, KEY}, 0, NULL},
        {{FIELD("sec-websocket-key", " dGhlIHNhbXBsZSBub25jZQ== "), VERSION}, 0, NULL},
        {{KEY}, 426, "version 13"},
        {{KEY, FIELD("sec-websocket-version", "8")}, 426, "version 13"},
        {{KEY, FIELD("sec-websocket-version", "13, 8")}, 426, "version 13"},
        {{KEY, FIELD("sec-websocket-version", "")}, 426, "version 13"},
        {{KEY, VERSION, VERSION}, 400, "twice"},
        {{VERSION}, 400, "16 bytes"},
        {{VERSION, KEY, KEY}, 400, "twice"},
        {{VERSION, FIELD("sec-websocket-key", "")}, 400, "16 bytes"},
        {{VERSION, FIELD("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=")}, 400, "16 bytes"},
        {{VERSION, FIELD("sec-websocket-key", "dGhlIHNhbXBsZSBub25j")}, 400, "16 bytes"},
        {{VERSION, FIELD("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZWFh")}, 400, "16 bytes"},
        {{VERSION, FIELD("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ*==")}, 400, "16 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request req = request_of(cases[i].fields);
        struct refusal why = {0};
        assert_int_equal(handshake_check(&req, &why), cases[i].status == 0);
        assert_int_equal(why.status, cases[i].status);
        if (cases[i].detail)
            assert_non_null(strstr(why.detail, cases[i].detail));
        req.method = SLICE("POST");
        assert_false(handshake_check(&req, &why));
        assert_int_equal(why.status, 400);
    }
}

static void only_offered_protocols_are_offered(void **state)
{
    static const struct field fields[FIELDS] = {
        FIELD("sec-websocket-protocol", "chat, superchat"), FIELD("other", "x"),
        FIELD("sec-websocket-protocol", "v2.example")};
    struct http_request req = request_of(fields);
    (void)state;
    assert_true(handshake_offers(&req, SLICE("chat")));
    assert_true(handshake_offers(&req, SLICE("superchat")));
    assert_true(handshake_offers(&req, SLICE("v2.example")));
    assert_false(handshake_offers(&req, SLICE("Chat")));
    assert_false(handshake_offers(&req, SLICE("chat, superchat")));
    assert_false(handshake_offers(&req, SLICE("super")));
    assert_false(handshake_offers(&req, SLICE("")));
}

#define OFFER(v)                                                                               \
    {                                                                                          \
        FIELD("sec-websocket-extensions", v)                                                   \
    }
#define AGREED "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

static const struct {
    struct field fields[FIELDS];
    const char *answer; /* NULL = none */
    unsigned bits;
} offers[] = {
    {{FIELD("other", "permessage-deflate")}, NULL, 0},
    {OFFER(""), NULL, 0},
    {OFFER("x-webkit-deflate-frame"), NULL, 0},
    {OFFER("permessage-deflate"), AGREED, 15},
    {OFFER("Permessage-Deflate"), AGREED, 15},
    {OFFER("permessage-deflate; client_max_window_bits"), AGREED, 15},
    {OFFER("permessage-deflate;client_max_window_bits=8"), AGREED, 15},
    {OFFER("permessage-deflate ; client_max_window_bits = \"10\""), AGREED, 15},
    {OFFER("permessage-deflate; client_no_context_takeover; server_no_context_takeover"),
     AGREED, 15},
    {OFFER("permessage-deflate; server_max_window_bits=9"), AGREED "; server_max_window_bits=9",
     9},
    {OFFER("permessage-deflate; server_max_window_bits=15"),
     AGREED "; server_max_window_bits=15", 15},
    {OFFER("permessage-deflate; server_max_window_bits=\"12\""),
     AGREED "; server_max_window_bits=12", 12},
    /* Not acceptable: the next one is looked at. */
    {OFFER("permessage-deflate; server_max_window_bits=8"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=8, permessage-deflate"), AGREED, 15},
    {OFFER("foo, bar; baz=1, permessage-deflate; server_max_window_bits=10"),
     AGREED "; server_max_window_bits=10", 10},
    {{FIELD("sec-websocket-extensions", "foo"),
      FIELD("sec-websocket-extensions", "permessage-deflate")},
     AGREED,
     15},
    {OFFER("foo; a=\"permessage-deflate, permessage-deflate\""), NULL, 0},
    {OFFER("foo; a=\"\\\", permessage-deflate\", permessage-deflate"), AGREED, 15},
    /* Not valid. */
    {OFFER("permessage-deflate; server_max_window_bits"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=16"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=7"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=010"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=+9"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits="), NULL, 0},
    {OFFER("permessage-deflate; client_max_window_bits=7"), NULL, 0},
    {OFFER("permessage-deflate; client_max_window_bits=16"), NULL, 0},
    {OFFER("permessage-deflate; client_max_window_bits="), NULL, 0},
    {OFFER("permessage-deflate; client_no_context_takeover=1"), NULL, 0},
    {OFFER("permessage-deflate; server_no_context_takeover=true"), NULL, 0},
    {OFFER("permessage-deflate; unknown"), NULL, 0},
    {OFFER("permessage-deflate; client_max_window_bits; client_max_window_bits"), NULL, 0},
    {OFFER("permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"), NULL, 0},
    {OFFER("permessage-deflate; ; client_max_window_bits"), NULL, 0},
};

static struct slice find(const struct http_answer *answer, const char *name)
{
    struct slice found = {0};
    for (size_t i = 0; i < answer->header_count; i++)
        if (slice_eq_nocase(answer->headers[i].name, slice_of(name))) {
            assert_null(found.ptr); /* at most once */
            found = answer->headers[i].value;
        }
    return found;
}

static void the_first_good_offer_of_compression_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct http_request req = request_of(offers[i].fields);
        struct compression c = {0};
        struct http_answer answer;
        struct arena arena = {0};
        handshake_compression(&req, &c);
        assert_int_equal(c.agreed, offers[i].answer != NULL);
        assert_int_equal(c.bits, offers[i].bits);
        handshake_answer(&req, &c, NULL, 0, &arena, &answer);
        assert_true(
            slice_eq(find(&answer, "Sec-WebSocket-Extensions"), slice_of(offers[i].answer)));
        arena_deinit(&arena);
    }
}

/* The key and hash of RFC 6455, 1.3. */
static void the_answer_proves_and_keeps_what_is_not_ours(void **state)
{
    static const struct field fields[FIELDS] = {VERSION, KEY};
    static const struct field more[] = {
        FIELD("set-cookie", "a=1"),
        FIELD("sec-websocket-protocol", "chat"),
        FIELD("set-cookie", "b=2"),
        FIELD("Sec-WebSocket-Accept", "forged"),
        FIELD("sec-websocket-extensions", "forged"),
        FIELD("upgrade", "forged"),
        FIELD("connection", "forged"),
    };
    struct http_request req = request_of(fields);
    struct compression none = {0};
    struct http_answer answer;
    struct arena arena = {0};
    (void)state;
    handshake_answer(&req, &none, more, ARRAY_LEN(more), &arena, &answer);
    assert_int_equal(answer.status, 101);
    assert_int_equal(answer.header_count, 5);
    assert_true(slice_is(find(&answer, "upgrade"), "websocket"));
    assert_true(
        slice_is(find(&answer, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_true(slice_is(find(&answer, "sec-websocket-protocol"), "chat"));
    assert_null(find(&answer, "sec-websocket-extensions").ptr);
    assert_true(slice_is(answer.headers[2].value, "a=1"));
    assert_true(slice_is(answer.headers[4].value, "b=2"));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_handshake_is_refused_with_a_reason),
        cmocka_unit_test(only_offered_protocols_are_offered),
        cmocka_unit_test(the_first_good_offer_of_compression_is_accepted),
        cmocka_unit_test(the_answer_proves_and_keeps_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
