#include "http/conn.h"
#include "tests/unit/site.h"

static bool is_open;  /* the last request became a tunnel */
static bool is_ended; /* ... and its client has said all */
static bool is_deaf;  /* nothing is consumed */

static const struct http_answer switching = {.status = 101};

/* Says back what it hears, until the client ends. */
static void on_body(struct exchange *x)
{
    struct slice body = exchange_body(x);
    if (is_deaf)
        return;
    assert_true(exchange_write(x, body));
    exchange_consume(x, body.len);
    is_ended = exchange_body_ended(x);
}

static void open_tunnel(struct exchange *x)
{
    struct err why;
    is_ended = is_deaf = false;
    is_open = exchange_upgrade(x, &switching, &why);
}

/* "/now" is accepted at once, all else is held. */
static void on_request(struct exchange *x)
{
    const struct http_request *request = exchange_request(x);
    if (slice_is(request->path, "/now"))
        open_tunnel(x);
    else if (slice_is(request->path, "/hold"))
        site->held[site->held_count++] = x;
    else
        answer(x, request->upgrade);
}

static void open_site(struct http_limits limits)
{
    site->on_request = on_request;
    site->on_body = on_body;
    start(limits);
}

#define UPGRADE(path, version)                                                                 \
    "GET " path " HTTP/" version                                                               \
    "\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"

static void a_wish_is_told(void **state)
{
    (void)state;

    static const struct {
        const char *request, *want;
    } cases[] = {
        {UPGRADE("/", "1.1"), "\r\n\r\nwebsocket"},
        {UPGRADE("/", "1.0"), "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", "\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: , TLS/1.0, "
         "x\r\n\r\n",
         "\r\n\r\ntls/1.0"},
        {"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
         "Content-Length: 1\r\n\r\n.",
         "\r\n\r\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "\r\n\r\n"},
    };

    open_site(usual);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf heard = {0};
        int fd = dial(0);
        say(fd, cases[i].request);
        await(fd, &heard, "\r\n\r\n");
        hear(fd, &heard, 10);
        assert_string_equal(strstr(buf_cstr(&heard), "\r\n\r\n"), cases[i].want);
        close(fd);
        buf_deinit(&heard);
    }
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, UPGRADE("/now", "1.1") "early"); /* with the head */
    await(fd, &heard, "\r\n\r\nearly");
    assert_true(is_open);
    assert_int_equal(strncmp(heard.ptr, "HTTP/1.1 101 Switching Protocols\r\n", 34), 0);
    assert_non_null(strstr(heard.ptr, "Connection: Upgrade\r\n"));
    assert_non_null(strstr(heard.ptr, "Upgrade: websocket\r\n"));
    assert_null(strstr(heard.ptr, "Content-Length"));
    assert_null(strstr(heard.ptr, "chunked"));
    buf_clear(&heard);
    say(fd, GET("/not-http"));
    await(fd, &heard, "GET /not-http HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(site->requests, 1);
    buf_clear(&heard);
    for (size_t i = 0; i < BIG; i++)
        site->big[i] = (char)(i * 31 + (i >> 11));
    for (size_t sent = 0; sent < BIG; sent += 65536) {
        assert_true(put(fd, (struct slice){site->big + sent, 65536}));
        hear(fd, &heard, 0);
    }
    hear_bytes(fd, &heard, BIG);
    assert_memory_equal(heard.ptr, site->big, BIG);
    close(fd);
    buf_deinit(&heard);
}

static void a_wish_may_be_granted_later_or_not(void **state)
{
    (void)state;
    struct field own[] = {{SLICE("Upgrade"), SLICE("other")}, {SLICE("X-A"), SLICE("b")}};
    struct field bad = {SLICE("X"), SLICE("a\r\nb")};
    struct buf heard = {0};
    struct err why;
    open_site(usual);
    int fd = dial(0);
    say(fd, UPGRADE("/hold", "1.1") "early");
    await_count(&site->held_count, 1);
    turns_for(10);
    struct exchange *x = take_held();
    assert_false(exchange_upgrade(x, &(struct http_answer){.status = 200}, &why));
    assert_false(exchange_upgrade(
        x, &(struct http_answer){.status = 101, .headers = &bad, .header_count = 1}, &why));
    assert_true(exchange_upgrade(
        x, &(struct http_answer){.status = 101, .headers = own, .header_count = 2}, &why));
    assert_int_equal(site->bodies, 0); /* never from within */
    await(fd, &heard, "\r\n\r\nearly");
    assert_non_null(strstr(heard.ptr, "Upgrade: other\r\nX-A: b\r\n"));
    assert_int_equal(occurrences(&heard, "Upgrade:"), 1);
    close(fd);
    buf_clear(&heard);
    fd = dial(0);
    say(fd, GET("/hold"));
    await_count(&site->held_count, 1);
    x = take_held();
    assert_false(exchange_upgrade(x, &switching, &why)); /* it did not ask */
    answer(x, SLICE("no"));
    await(fd, &heard, "\r\n\r\nno");
    say(fd, UPGRADE("/", "1.1") GET("/next")); /* refused: HTTP goes on */
    await(fd, &heard, "\r\n\r\nwebsocket");
    await(fd, &heard, "200 OK");
    close(fd);
    buf_deinit(&heard);
}

static struct exchange *tunnel_of(int fd)
{
    struct buf heard = {0};
    say(fd, UPGRADE("/hold", "1.1"));
    await_count(&site->held_count, 1);
    struct exchange *x = take_held();
    open_tunnel(x);
    assert_true(is_open);
    await(fd, &heard, "\r\n\r\n");
    buf_deinit(&heard);
    return x;
}

static void each_side_ends_for_itself(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    struct exchange *x = tunnel_of(fd);
    turns_for(150);
    say(fd, "last");
    shutdown(fd, SHUT_WR); /* the client first: it may still be told things */
    for (int i = 0; i < 1000 && !is_ended; i++)
        turn();
    assert_true(is_ended);
    assert_int_equal(site->gone, 0);
    turns_for(150);
    exchange_write(x, SLICE(" words"));
    exchange_end(x, NULL, 0);
    assert_int_equal(site->last_status, 101);
    assert_int_equal(site->last_bytes, strlen("last words"));
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_string_equal(buf_cstr(&heard), "last words");
    close(fd);
    turns_for(10);
    assert_int_equal(http_server_connections(site->server), 0);
    fd = dial(0);
    x = tunnel_of(fd);
    exchange_write(x, SLICE("bye"));
    exchange_end(x, NULL, 0); /* the handler first: it is over */
    buf_clear(&heard);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_string_equal(buf_cstr(&heard), "bye");
    say(fd, "to nobody");
    shutdown(fd, SHUT_WR);
    turns_for(20);
    assert_int_equal(http_server_connections(site->server), 0);
    close(fd);
    buf_deinit(&heard);
}

static void an_end_before_the_beginning_is_told(void **state)
{
    (void)state;
    open_site(usual);
    int fd = dial(0);
    say(fd, UPGRADE("/hold", "1.1"));
    await_count(&site->held_count, 1);
    shutdown(fd, SHUT_WR);
    turns_for(20);
    struct exchange *x = take_held();
    open_tunnel(x);
    assert_false(is_ended);
    turns_for(10);
    assert_true(is_ended);
    exchange_end(x, NULL, 0);
    close(fd);
    fd = dial(0); /* and not to who has ended it meanwhile */
    say(fd, UPGRADE("/hold", "1.1"));
    await_count(&site->held_count, 1);
    shutdown(fd, SHUT_WR);
    turns_for(20);
    x = take_held();
    open_tunnel(x);
    exchange_abort(x);
    unsigned before = site->bodies;
    turns_for(10);
    assert_int_equal(site->bodies, before);
    close(fd);
}

static void a_tunnel_has_no_timeouts_and_survives_draining(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.idle_timeout_ms = limits.body_timeout_ms = limits.send_timeout_ms = 50;
    open_site(limits);
    int fd = dial(4096);
    struct exchange *x = tunnel_of(fd);
    http_server_drain(site->server, on_site_drained, site);
    exchange_write(x, (struct slice){site->big, BIG});
    turns_for(1200);
    assert_int_equal(site->gone, 0);
    assert_false(site->drained);
    hear_bytes(fd, &heard, BIG);
    assert_int_equal(heard.len, BIG);
    say(fd, "x");
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000 && !is_ended; i++)
        turn();
    exchange_end(x, NULL, 0);
    hear(fd, &heard, 50);
    close(fd);
    for (int i = 0; i < 100 && !site->drained; i++)
        turns_for(10);
    assert_true(site->drained);
    buf_deinit(&heard);
}

static void who_is_not_heard_is_not_read(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    struct exchange *x = tunnel_of(fd);
    is_deaf = true;
    size_t sent = 0;
    for (int quiet = 0; quiet < 50;) {
        ssize_t n = send(fd, site->big, 65536, MSG_NOSIGNAL);
        quiet = n > 0 ? 0 : quiet + 1;
        sent += n > 0 ? (size_t)n : 0;
        turn();
        assert_in_range(sent, 0, 64 << 20);
    }
    assert_in_range(exchange_body(x).len, EXCHANGE_INLINE, 2 * EXCHANGE_INLINE);
    assert_in_range(x->conn->stream.in.len, 0, 2 * EXCHANGE_INLINE);
    shutdown(fd, SHUT_WR);
    turns_for(10);
    is_deaf = false;
    on_body(x);
    hear_bytes(fd, &heard, sent);
    for (int i = 0; i < 1000 && !is_ended; i++)
        turn();
    assert_true(is_ended);
    exchange_end(x, NULL, 0);
    close(fd);
    buf_deinit(&heard);
}

static void a_broken_tunnel_is_told(void **state)
{
    (void)state;
    open_site(usual);
    int fd = dial(0);
    tunnel_of(fd);
    break_off(fd);
    await_number(&site->gone, 1);
    assert_int_equal(site->last_status, 101);
    fd = dial(0); /* ended first, and then gone: seen when it is written to */
    struct exchange *x = tunnel_of(fd);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000 && !is_ended; i++)
        turn();
    close(fd);
    for (int i = 0; i < 20 && site->gone == 1; i++) {
        exchange_write(x, SLICE("x"));
        turns_for(5);
    }
    assert_int_equal(site->gone, 2);
    fd = dial(0);
    tunnel_of(fd);
    http_server_free(site->server);
    site->server = NULL;
    assert_int_equal(site->gone, 3);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_wish_is_told),
        SITE_TEST(bytes_go_both_ways),
        SITE_TEST(a_wish_may_be_granted_later_or_not),
        SITE_TEST(each_side_ends_for_itself),
        SITE_TEST(an_end_before_the_beginning_is_told),
        SITE_TEST(a_tunnel_has_no_timeouts_and_survives_draining),
        SITE_TEST(who_is_not_heard_is_not_read),
        SITE_TEST(a_broken_tunnel_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
