#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/connect.h"
#include "loop/listener.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* ------------------------------------------------------------------ resolve */

static const struct {
    const char *address;
    int family;
    const char *host;
    uint16_t port;
} good[] = {
    {"127.0.0.1:80", AF_INET, "127.0.0.1", 80}, {":8000", AF_INET, "127.0.0.1", 8000},
    {"8000", AF_INET, "127.0.0.1", 8000},       {"*:1", AF_INET, "127.0.0.1", 1},
    {"[::1]:65535", AF_INET6, "::1", 65535},
};

static void addresses_are_read_in_all_their_forms(void **state)
{
    struct loop *loop = xmalloc(sizeof(*loop));
    (void)state;
    assert_int_equal(loop_init(loop), 0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct peer peer;
        struct err err;
        char host[64];
        if (peer_resolve(&peer, loop, good[i].address, &err))
            fail_msg("%s", err.text);
        assert_int_equal(peer.count, 1);
        assert_int_equal(peer.at[0].any.sa_family, good[i].family);
        assert_int_equal(uv_ip_name(&peer.at[0].any, host, sizeof(host)), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(ntohs(((struct sockaddr_in *)&peer.at[0])->sin_port), good[i].port);
        assert_string_equal(peer.name, good[i].address);
    }
    assert_int_equal(loop_deinit(loop), 0);
    xfree(loop);
}

static void what_is_no_address_is_refused_by_its_name(void **state)
{
    static const char *const bad[] = {
        "",           "host",      "host:", "host:0",
        "host:65536", "host:http", "unix:", "no-such-host.invalid:80"};
    struct loop *loop = xmalloc(sizeof(*loop));
    char path[300] = "unix:/";
    struct peer peer;
    struct err err;
    (void)state;
    assert_int_equal(loop_init(loop), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_true(peer_resolve(&peer, loop, bad[i], &err) < 0);
        assert_true(err.text[0] != '\0');
    }
    assert_non_null(strstr(err.text, "\"no-such-host.invalid\""));
    memset(path + 6, 'x', 200);
    assert_int_equal(peer_resolve(&peer, loop, path, &err), UV_ENAMETOOLONG);
    assert_int_equal(loop_deinit(loop), 0);
    xfree(loop);
}

static void a_name_is_looked_up_with_its_port(void **state)
{
    struct loop *loop = xmalloc(sizeof(*loop));
    struct peer peer;
    struct err err;
    (void)state;
    assert_int_equal(loop_init(loop), 0);
    if (peer_resolve(&peer, loop, "localhost:4711", &err))
        fail_msg("%s", err.text);
    assert_in_range(peer.count, 1, PEER_MAX);
    for (unsigned i = 0; i < peer.count; i++)
        assert_int_equal(ntohs(((struct sockaddr_in *)&peer.at[i])->sin_port), 4711);
    assert_int_equal(loop_deinit(loop), 0);
    xfree(loop);
}

/* ------------------------------------------------------------------ connect */

struct call {
    struct loop loop;
    struct listener listener;
    struct stream guest;
    struct stream stream;
    struct connect connect;
    struct peer peer;
    struct buf got;
    unsigned done;
    unsigned gone;
    int status;
};

static size_t on_data(struct stream *s, struct slice bytes)
{
    buf_add(&container_of(s->loop, struct call, loop)->got, bytes);
    loop_stop(s->loop);
    return bytes.len;
}

static void on_ended(struct stream *s, int status)
{
    (void)s, (void)status;
}

static void on_gone(struct stream *s)
{
    container_of(s->loop, struct call, loop)->gone++;
}

static const struct stream_ops stream_ops = {
    .data = on_data,
    .ended = on_ended,
    .gone = on_gone,
};

static void on_incoming(struct listener *l)
{
    struct call *call = container_of(l, struct call, listener);
    assert_int_equal(l->is_unix ? stream_init_unix(&call->guest, &call->loop, &stream_ops)
                                : stream_init_tcp(&call->guest, &call->loop, &stream_ops),
                     0);
    assert_int_equal(listener_accept(l, &call->guest), 0);
    stream_start(&call->guest, SIZE_MAX);
}

static void on_listener_gone(struct listener *l)
{
    (void)l;
}

static const struct listener_ops listener_ops = {on_incoming, on_listener_gone};

static void on_done(struct connect *c, int status)
{
    struct call *call = container_of(c, struct call, connect);
    call->done++;
    call->status = status;
    loop_stop(&call->loop);
}

static struct call *call_new(const char *address)
{
    struct call *call = xcalloc(1, sizeof(*call));
    struct err err;
    assert_int_equal(loop_init(&call->loop), 0);
    if (listener_open(&call->listener, &call->loop, address, &listener_ops, &err) ||
        peer_resolve(&call->peer, &call->loop, call->listener.address, &err))
        fail_msg("%s", err.text);
    return call;
}

static void call_free(struct call *call)
{
    listener_close(&call->listener);
    stream_close(&call->stream);
    if (call->guest.loop)
        stream_close(&call->guest);
    loop_run(&call->loop);
    assert_int_equal(call->gone, 1 + (call->guest.loop != NULL));
    assert_int_equal(loop_deinit(&call->loop), 0);
    buf_deinit(&call->got);
    xfree(call);
}

static void start(struct call *call)
{
    connect_start(&call->connect, &call->stream, &call->loop, &call->peer, 0, &stream_ops,
                  on_done);
    assert_int_equal(call->done, 0);
}

static void check_connects(const char *address)
{
    struct call *call = call_new(address);
    start(call);
    loop_run(&call->loop);
    assert_int_equal(call->done, 1);
    assert_int_equal(call->status, 0);
    stream_write(&call->stream, SLICE("hello"));
    while (call->got.len == 0)
        loop_run(&call->loop);
    assert_string_equal(buf_cstr(&call->got), "hello");
    assert_int_equal(call->done, 1);
    call_free(call);
}

static void a_stream_reaches_a_tcp_and_a_unix_address(void **state)
{
    (void)state;
    check_connects("127.0.0.1:0");
    check_connects("unix:s");
}

static void a_refusal_is_told_once_and_from_the_loop(void **state)
{
    (void)state;
    for (int local = 0; local < 2; local++) {
        struct call *call = call_new("127.0.0.1:0");
        struct err err;
        if (local)
            assert_int_equal(
                peer_resolve(&call->peer, &call->loop, "unix:/nonexistent/s", &err), 0);
        else
            ((struct sockaddr_in *)&call->peer.at[0])->sin_addr.s_addr =
                htonl(INADDR_LOOPBACK + 1);
        start(call);
        loop_run(&call->loop);
        assert_int_equal(call->done, 1);
        assert_int_equal(call->status, local ? UV_ENOENT : UV_ECONNREFUSED);
        call_free(call);
    }
}

/* What the kernel refuses before it tries: a broadcast address. */
static void a_failure_at_once_comes_from_the_loop_too(void **state)
{
    struct call *call = call_new("127.0.0.1:0");
    (void)state;
    ((struct sockaddr_in *)&call->peer.at[0])->sin_addr.s_addr = INADDR_BROADCAST;
    start(call);
    loop_run(&call->loop);
    assert_int_equal(call->done, 1);
    assert_true(call->status < 0);
    call_free(call);
}

static void closing_ends_the_attempt_silently(void **state)
{
    struct call *call = call_new("127.0.0.1:0");
    (void)state;
    start(call);
    stream_close(&call->stream);
    listener_close(&call->listener);
    loop_run(&call->loop);
    assert_int_equal(call->done, 0);
    call_free(call);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_in_all_their_forms),
        cmocka_unit_test(what_is_no_address_is_refused_by_its_name),
        cmocka_unit_test(a_name_is_looked_up_with_its_port),
        cmocka_unit_test_setup_teardown(a_stream_reaches_a_tcp_and_a_unix_address, folder_enter,
                                        folder_leave),
        cmocka_unit_test(a_refusal_is_told_once_and_from_the_loop),
        cmocka_unit_test(a_failure_at_once_comes_from_the_loop_too),
        cmocka_unit_test(closing_ends_the_attempt_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
