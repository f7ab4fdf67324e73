#include <malloc.h>

#include "http/conn.h"
#include "tests/unit/site.h"

/* -------------------------------------------------------------------- tests */

static void a_connection_serves_one_request_after_the_other(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    for (int i = 0; i < 5; i++) {
        buf_clear(&heard);
        say(fd, GET("/x"));
        await(fd, &heard, "\r\n\r\n/x");
        assert_int_equal(strncmp(heard.ptr, "HTTP/1.1 200 OK\r\n", 17), 0);
        assert_null(strstr(heard.ptr, "Connection:"));
    }
    assert_int_equal(site->answered, 5);
    assert_int_equal(http_server_connections(site->server), 1);
    close(fd);
    turns_for(20);
    assert_int_equal(http_server_connections(site->server), 0);
    assert_int_equal(site->gone, 0);
    buf_deinit(&heard);
}

static void pipelined_requests_are_answered_in_their_order(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd,
        GET("/hold") POST("Content-Length: 6\r\n\r\nsecond") GET("/third") "\r\n" GET("/hold"));
    await_count(&site->held_count, 1);
    turns_for(10);
    assert_int_equal(site->requests, 1); /* one at a time */
    answer(site->held[--site->held_count], SLICE("/first"));
    await(fd, &heard, "/third");
    await_count(&site->held_count, 1);
    answer(site->held[--site->held_count], SLICE("/fourth"));
    await(fd, &heard, "/fourth");
    const char *first = strstr(heard.ptr, "/first");
    const char *second = strstr(heard.ptr, "second");
    assert_true(first && second && first < second && second < strstr(heard.ptr, "/third"));
    close(fd);
    buf_deinit(&heard);
}

static void a_body_is_collected_however_it_comes(void **state)
{
    (void)state;
    static const char *const requests[] = {
        POST("Content-Length: 11\r\n\r\nhello world"),
        POST("Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;a=b\r\nworld\r\n0\r\nX: "
             "y\r\n\r\n"),
        "\r\n\r\n" POST("Content-Length: 11\r\n\r\nhello world"),
    };
    start(usual);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct buf heard = {0};
        int fd = dial(0);
        say(fd, requests[i]);
        await(fd, &heard, "\r\n\r\nhello world");
        buf_clear(&heard);
        for (const char *at = requests[i]; *at; at++)
            assert_true(put(fd, (struct slice){at, 1}));
        await(fd, &heard, "\r\n\r\nhello world");
        close(fd);
        buf_deinit(&heard);
    }
    assert_int_equal(site->refused, 0);
}

static void a_client_that_asks_is_told_to_continue(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    await(fd, &heard, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hello");
    await(fd, &heard, "\r\n\r\nhello");
    buf_clear(&heard);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")); /* did not wait */
    await(fd, &heard, "\r\n\r\nhello");
    assert_int_equal(occurrences(&heard, "100 Continue"), 0);
    buf_clear(&heard);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"));
    await(fd, &heard, "200 OK");
    assert_int_equal(occurrences(&heard, "100 Continue"), 0);
    close(fd);
    assert_answer(POST("Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"),
                  "HTTP/1.1 413 ", true);
    assert_answer(POST("Expect: tea\r\nContent-Length: 5\r\n\r\n"), "HTTP/1.1 417 ", true);
    buf_deinit(&heard);
}

static void bad_requests_are_answered_and_the_connection_ends(void **state)
{
    (void)state;
    start(usual);
    assert_answer("nonsense\r\n", "HTTP/1.1 400 ", true);
    assert_answer(GET("/") "nonsense\r\n", "HTTP/1.1 200 ", true);
    assert_answer("\r\n\r\n\r\n" GET("/"), "HTTP/1.1 400 ", true);
    assert_answer("GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 ", true);
    assert_answer("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 ", true);
    assert_answer(POST("Content-Length: 1048577\r\n\r\n"), "HTTP/1.1 413 ", true);
    assert_answer(POST("Transfer-Encoding: chunked\r\n\r\n100001\r\n"), "HTTP/1.1 413 ", true);
    assert_answer(POST("Transfer-Encoding: chunked\r\n\r\n5\nhello"), "HTTP/1.1 400 ", true);
    assert_int_equal(site->requests, 1);
    assert_int_equal(site->refused, 8);
    assert_int_equal(site->refused_status, 400);
}

static void a_refusal_is_a_problem_in_json(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    const char *text = buf_cstr(&heard);
    assert_non_null(strstr(text, "Content-Type: application/problem+json\r\n"));
    assert_non_null(strstr(text, "Connection: close\r\n"));
    assert_non_null(strstr(text, "\"status\":400"));
    assert_non_null(strstr(text, "Host"));
    assert_null(strstr(text, "Server:"));
    close(fd);
    buf_clear(&heard);
    fd = dial(0);
    say(fd, "HEAD / HTTP/1.1\r\n\r\n");
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_string_equal(strstr(buf_cstr(&heard), "\r\n\r\n"), "\r\n\r\n");
    close(fd);
    buf_clear(&heard);
    fd = dial(0);
    say(fd, GET("/fail"));
    await(fd, &heard, "\"instance\":\"/fail\"");
    assert_non_null(strstr(heard.ptr, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(heard.ptr, "Retry-After: 7\r\n"));
    assert_non_null(strstr(heard.ptr, "Allow: GET\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static void the_client_decides_whether_to_stay_unless_it_is_old(void **state)
{
    (void)state;
    start(usual);
    assert_answer(GET("/"), "HTTP/1.1 200 ", false);
    assert_answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
                  true);
    assert_answer("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", true);
    assert_answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 ", false);
    struct buf heard = {0};
    int fd = dial(0);
    say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await(fd, &heard, "Connection: keep-alive\r\n");
    close(fd);
    buf_deinit(&heard);
}

static void head_gets_the_length_without_the_body(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, "HEAD /12345 HTTP/1.1\r\nHost: a\r\n\r\n" GET("/end"));
    await(fd, &heard, "/end");
    assert_non_null(strstr(heard.ptr, "Content-Length: 6\r\n"));
    assert_int_equal(occurrences(&heard, "/12345"), 0);
    close(fd);
    buf_deinit(&heard);
}

static void the_head_has_one_deadline_in_all(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.header_timeout_ms = 150;
    start(limits);
    int fd = dial(0);
    uint64_t begun = loop_clock_ns();
    const char *drip =
        "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789012345678901234567890123456789";
    while (*drip && !strstr(buf_cstr(&heard), "408")) {
        IGNORE(put(fd, (struct slice){drip++, 1})); /* the answer is what counts */
        hear(fd, &heard, 10);
    }
    assert_non_null(strstr(buf_cstr(&heard), "HTTP/1.1 408 Request Timeout\r\n"));
    assert_in_range((loop_clock_ns() - begun) / 1000000, 140, 600);
    close(fd);
    buf_deinit(&heard);
}

static void a_body_may_be_slow_but_not_still(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_timeout_ms = 120;
    start(limits);
    int fd = dial(0);
    say(fd, POST("Content-Length: 10\r\n\r\n"));
    for (int i = 0; i < 10; i++) {
        turns_for(40);
        say(fd, "x");
    }
    await(fd, &heard, "xxxxxxxxxx");
    buf_clear(&heard);
    say(fd, POST("Transfer-Encoding: chunked\r\n\r\n5\r\nhe"));
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "HTTP/1.1 408 "));
    assert_int_equal(site->requests, 1);
    close(fd);
    buf_deinit(&heard);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.idle_timeout_ms = 100;
    start(limits);
    int fresh = dial(0);
    int used = dial(0);
    say(used, GET("/") "\r\n"); /* an empty line too many is no new request */
    await(used, &heard, "200 OK");
    buf_clear(&heard);
    assert_int_equal(hear(used, &heard, 1000), ENDED);
    assert_int_equal(hear(fresh, &heard, 1000), ENDED);
    assert_int_equal(heard.len, 0);
    close(fresh);
    close(used);
    buf_deinit(&heard);
}

static void a_client_that_shuts_its_side_is_answered(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/a") GET("/hold") GET("/c"));
    await_count(&site->held_count, 1);
    shutdown(fd, SHUT_WR);
    turns_for(20);
    answer(site->held[--site->held_count], SLICE("/b"));
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_int_equal(occurrences(&heard, "200 OK"), 3);
    assert_int_equal(site->gone, 0);
    close(fd);

    buf_clear(&heard);
    fd = dial(0);
    say(fd, "GET / HTTP/1.1\r\nHo");
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "HTTP/1.1 400 "));
    close(fd);

    buf_clear(&heard);
    fd = dial(0);
    say(fd, POST("Content-Length: 10\r\n\r\nhalf"));
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "HTTP/1.1 400 "));
    close(fd);
    buf_deinit(&heard);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    start(usual);
    int late = dial(0);
    say(late, GET("/hold"));
    await_count(&site->held_count, 1);
    turns_for(150);
    close(late); /* FIN, long after the request */
    await_count(&site->held_count, 0);
    assert_int_equal(site->gone, 1);
    assert_int_equal(site->last_status, 499);

    int rude = dial(0);
    say(rude, GET("/hold"));
    await_count(&site->held_count, 1);
    break_off(rude);
    await_count(&site->held_count, 0);
    assert_int_equal(site->gone, 2);
    turns_for(10);
    assert_int_equal(http_server_connections(site->server), 0);
}

static void a_flood_behind_a_request_is_not_hoarded(void **state)
{
    (void)state;
    start(usual);
    int fd = dial(0);
    say(fd, GET("/hold"));
    await_count(&site->held_count, 1);
    struct conn *conn = site->held[0]->conn;
    for (int i = 0; i < 2000; i++) {
        char flood[8192];
        memset(flood, 'x', sizeof(flood));
        IGNORE(send(fd, flood, sizeof(flood), MSG_NOSIGNAL) < 0); /* full is what we want */
        uv_run(&site->loop.uv, UV_RUN_NOWAIT);
    }
    assert_in_range(conn->stream.in.len, 1, 16 * 1024 + LOOP_SCRATCH);
    answer(site->held[--site->held_count], SLICE("done"));
    struct buf heard = {0};
    await(fd, &heard, "HTTP/1.1 414 ");
    close(fd);
    buf_deinit(&heard);
}

static void what_a_closing_client_still_sends_is_thrown_away(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await_count(&site->held_count, 1);
    struct conn *conn = site->held[0]->conn;
    assert_true(put(fd, (struct slice){site->big, 128 * 1024})); /* too much to be kept */
    assert_in_range(conn->stream.in.len, 16 * 1024, 16 * 1024 + LOOP_SCRATCH);
    answer(site->held[--site->held_count], SLICE("done"));
    turns_for(50);
    assert_int_equal(conn->stream.in.len, 0);
    assert_int_equal(conn->discarded, 128 * 1024);
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_int_equal(occurrences(&heard, "HTTP/1.1"), 1);
    close(fd);
    buf_deinit(&heard);
}

static void a_busy_connection_does_not_grow(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    size_t before = 0;
    for (int i = 0; i < 2000; i++) {
        if (i == 100)
            before = mallinfo2().uordblks;
        buf_clear(&heard);
        say(fd, POST("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        await(fd, &heard, "\r\n\r\nhello");
    }
    assert_in_range(mallinfo2().uordblks, 0, before + 65536);
    close(fd);
    buf_deinit(&heard);
}

static void a_client_that_takes_nothing_is_reset(void **state)
{
    (void)state;
    struct http_limits limits = usual;
    limits.send_timeout_ms = 150;
    start(limits);
    int fd = dial(4096);
    say(fd, GET("/big"));
    turns_for(100);
    assert_int_equal(http_server_connections(site->server), 1);
    for (int i = 0; i < 100 && http_server_connections(site->server); i++)
        turns_for(10);
    assert_int_equal(http_server_connections(site->server), 0);
    close(fd);
}

static void a_client_that_takes_little_at_a_time_gets_all(void **state)
{
    (void)state;
    struct http_limits limits = usual;
    limits.send_timeout_ms = 400;
    limits.idle_timeout_ms = 50; /* does not count while an answer is on its way */
    start(limits);
    int fd = dial(65536);
    say(fd, GET("/big"));
    char room[65536];
    size_t total = 0;
    for (int i = 0; i < 100; i++) { /* one second, much longer than the timeout */
        ssize_t n = recv(fd, room, sizeof(room), 0);
        total += n > 0 ? (size_t)n : 0;
        turns_for(10);
    }
    assert_int_equal(http_server_connections(site->server), 1);
    struct buf heard = {0};
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_in_range(total + heard.len, BIG + 100, BIG + 400);
    close(fd);
    buf_deinit(&heard);
}

static void who_reads_no_answers_is_asked_for_no_requests(void **state)
{
    (void)state;
    start(usual);
    int fd = dial(4096);
    for (int i = 0; i < 50; i++)
        IGNORE(send(fd, GET("/big"), strlen(GET("/big")), MSG_NOSIGNAL) <
               0); /* all are small */
    turns_for(100);
    assert_in_range(site->requests, 1, 2);
    close(fd);
}

static void the_answer_to_an_oversized_upload_arrives(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, POST("Content-Length: 2000000000\r\n\r\n"));
    assert_true(put(fd, (struct slice){site->big, BIG})); /* goes on regardless */
    await(fd, &heard, "HTTP/1.1 413 ");
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    close(fd);
    buf_deinit(&heard);
}

static struct conn *only_conn(void)
{
    struct front *front = (struct front *)site->server; /* its first member */
    return list_first(&front->active, struct conn, node);
}

static void but_who_sends_for_ever_is_cut_off(void **state)
{
    (void)state;
    start(usual);
    int fd = dial(0);
    say(fd, POST("Content-Length: 2000000000\r\n\r\n"));
    await_number(&site->refused, 1);
    assert_true(put(fd, (struct slice){site->big, 1 << 20}));
    assert_int_equal(only_conn()->state, CONN_LINGER);
    assert_in_range(only_conn()->linger_until_ms, loop_now(&site->loop) + 20 * 1000,
                    loop_now(&site->loop) + 30 * 1000);
    only_conn()->linger_until_ms = loop_now(&site->loop);
    assert_false(put(fd, (struct slice){site->big, BIG}));
    assert_int_equal(http_server_connections(site->server), 0);
    close(fd);
    fd = dial(0); /* no body was promised: less patience */
    say(fd, "nonsense\r\n");
    assert_false(put(fd, (struct slice){site->big, BIG}));
    close(fd);
}

static void at_the_limit_the_longest_idle_one_goes(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.connections = 3;
    start(limits);
    int busy = dial(0);
    say(busy, GET("/hold"));
    int first = dial(0);
    int second = dial(0);
    say(first, GET("/"));
    await(first, &heard, "200 OK");
    say(second, GET("/"));
    hear(second, &heard, 50);
    assert_answer(GET("/"), "HTTP/1.1 200 ", false);
    buf_clear(&heard);
    assert_int_equal(hear(first, &heard, 100), ENDED);
    assert_int_equal(hear(second, &heard, 50), STILL_OPEN);
    say(second, GET("/hold"));
    int third = dial(0);
    say(third, GET("/hold"));
    await_count(&site->held_count, 3);
    assert_answer(GET("/"), "HTTP/1.1 503 ", true); /* none is idle */
    assert_int_equal(site->gone, 0);
    int all[] = {busy, first, second, third};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        close(all[i]);
    buf_deinit(&heard);
}

static void draining_loses_no_request(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int idle = dial(0), half = dial(0), busy = dial(0), fresh = dial(0);
    say(idle, GET("/"));
    await(idle, &heard, "200 OK");
    say(half, "GET /half HTTP/1.1\r\nHo");
    say(busy, GET("/hold"));
    await_count(&site->held_count, 1);
    http_server_drain(site->server, on_site_drained, site);
    turns_for(100);
    assert_false(site->drained);
    buf_clear(&heard);
    say(idle, GET("/idle"));
    await(idle, &heard, "\r\n\r\n/idle");
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    buf_clear(&heard);
    say(half, "st: a\r\n\r\n");
    await(half, &heard, "\r\n\r\n/half");
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    buf_clear(&heard);
    answer(site->held[--site->held_count], SLICE("/busy"));
    await(busy, &heard, "Connection: close\r\n");
    buf_clear(&heard);
    assert_int_equal(hear(fresh, &heard, 2000), ENDED); /* nothing came within the moment */
    close(idle), close(half), close(busy), close(fresh);
    for (int i = 0; i < 200 && !site->drained; i++)
        turns_for(10);
    assert_true(site->drained);
    assert_null(http_server_url(site->server, 0));
    buf_deinit(&heard);
}

static void draining_what_is_empty_ends_at_once_but_not_within_the_call(void **state)
{
    (void)state;
    start(usual);
    http_server_drain(site->server, on_site_drained, site);
    assert_false(site->drained);
    turns_for(100);
    assert_true(site->drained);
}

static void freeing_tells_the_handler_of_what_is_under_way(void **state)
{
    (void)state;
    start(usual);
    int one = dial(0), two = dial(0), idle = dial(0);
    say(one, GET("/hold"));
    say(two, GET("/hold") GET("/hold"));
    await_count(&site->held_count, 2);
    http_server_free(site->server);
    site->server = NULL;
    assert_int_equal(site->gone, 2);
    assert_int_equal(site->held_count, 0);
    close(one), close(two), close(idle);
}

static void a_bad_answer_can_be_replaced_by_a_good_one(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct err why;
    struct field bad = {SLICE("X"), SLICE("a\r\nSet-Cookie: b")};
    struct http_answer split = {.status = 200, .headers = &bad, .header_count = 1};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/hold"));
    await_count(&site->held_count, 1);
    struct exchange *x = site->held[--site->held_count];
    exchange_set_data(x, &heard);
    assert_false(exchange_respond(x, &split, &why));
    assert_ptr_equal(exchange_data(x), &heard);
    assert_non_null(arena_alloc(exchange_arena(x), 100));
    exchange_fail(x, &(struct http_problem){.status = 502, .detail = slice_of(why.text)});
    await(fd, &heard, "HTTP/1.1 502 Bad Gateway\r\n");
    assert_null(strstr(heard.ptr, "Set-Cookie:"));
    close(fd);
    buf_deinit(&heard);
}

static void requests_have_ids_of_their_own(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/a") GET("/b"));
    await(fd, &heard, "/b");
    const char *first = strstr(heard.ptr, "X-Request-Id: ");
    const char *second = strstr(first + 1, "X-Request-Id: ");
    assert_non_null(second);
    assert_memory_not_equal(first, second, strlen("X-Request-Id: ") + REQUEST_ID_LEN);
    close(fd);
    buf_deinit(&heard);
}

static void an_idle_connection_is_cheap(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    assert_in_range(sizeof(struct conn), 1, 1024);
    int fd = dial(0);
    say(fd, GET("/hold"));
    await_count(&site->held_count, 1);
    struct conn *conn = site->held[0]->conn;
    answer(site->held[--site->held_count], SLICE("x"));
    await(fd, &heard, "200 OK");
    assert_null(conn->exchange);
    assert_int_equal(conn->stream.in.cap, 0);
    assert_in_range(sizeof(struct conn) + conn->stream.out.cap, 1, 2048);
    close(fd);
    buf_deinit(&heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_connection_serves_one_request_after_the_other),
        SITE_TEST(pipelined_requests_are_answered_in_their_order),
        SITE_TEST(a_body_is_collected_however_it_comes),
        SITE_TEST(a_client_that_asks_is_told_to_continue),
        SITE_TEST(bad_requests_are_answered_and_the_connection_ends),
        SITE_TEST(a_refusal_is_a_problem_in_json),
        SITE_TEST(the_client_decides_whether_to_stay_unless_it_is_old),
        SITE_TEST(head_gets_the_length_without_the_body),
        SITE_TEST(the_head_has_one_deadline_in_all),
        SITE_TEST(a_body_may_be_slow_but_not_still),
        SITE_TEST(an_idle_connection_is_closed_without_a_word),
        SITE_TEST(a_client_that_shuts_its_side_is_answered),
        SITE_TEST(a_client_that_leaves_is_noticed),
        SITE_TEST(a_flood_behind_a_request_is_not_hoarded),
        SITE_TEST(what_a_closing_client_still_sends_is_thrown_away),
        SITE_TEST(a_busy_connection_does_not_grow),
        SITE_TEST(a_client_that_takes_nothing_is_reset),
        SITE_TEST(a_client_that_takes_little_at_a_time_gets_all),
        SITE_TEST(who_reads_no_answers_is_asked_for_no_requests),
        SITE_TEST(the_answer_to_an_oversized_upload_arrives),
        SITE_TEST(but_who_sends_for_ever_is_cut_off),
        SITE_TEST(at_the_limit_the_longest_idle_one_goes),
        SITE_TEST(draining_loses_no_request),
        SITE_TEST(draining_what_is_empty_ends_at_once_but_not_within_the_call),
        SITE_TEST(freeing_tells_the_handler_of_what_is_under_way),
        SITE_TEST(a_bad_answer_can_be_replaced_by_a_good_one),
        SITE_TEST(requests_have_ids_of_their_own),
        SITE_TEST(an_idle_connection_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
