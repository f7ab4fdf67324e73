#include "http/conn.h"
#include "tests/unit/site.h"

static bool is_more;         /* what the last request said of its body */
static size_t appetite;      /* bytes that are taken at a time; 0 = none */
static bool wants;           /* exchange_continue() is called at once */
static struct exchange *now; /* the one whose body comes */

static void fill_big(void)
{
    for (size_t i = 0; i < BIG; i++)
        site->big[i] = (char)(i * 31 + (i >> 11));
}

/* Takes what it may; answers with the number of bytes when all are there. */
static void eat(struct exchange *x)
{
    char text[32];
    struct slice body = exchange_body(x);
    while (body.len && appetite) {
        size_t len = MIN(body.len, appetite);
        buf_append(&site->got, body.ptr, len);
        exchange_consume(x, len);
        body = exchange_body(x);
    }
    if (!exchange_body_ended(x) || body.len)
        return;
    snprintf(text, sizeof(text), "%zu bytes", site->got.len);
    now = NULL;
    answer(x, slice_of(text));
}

static void on_request(struct exchange *x)
{
    const struct http_request *request = exchange_request(x);
    is_more = request->more;
    if (!is_more) {
        assert_int_equal(exchange_body(x).len, 0);
        answer(x, request->body.len ? request->body : request->path);
        return;
    }
    assert_int_equal(request->body.len, 0);
    now = x;
    if (wants)
        exchange_continue(x);
    if (slice_is(request->path, "/held"))
        return;
    eat(x);
}

static void on_body(struct exchange *x)
{
    assert_ptr_equal(x, now);
    if (!slice_is(exchange_request(x)->path, "/held"))
        eat(x);
}

static void open_site(struct http_limits limits)
{
    appetite = SIZE_MAX;
    wants = true;
    now = NULL;
    site->on_request = on_request;
    site->on_body = on_body;
    fill_big();
    start(limits);
}

static struct slice header(struct exchange *x, const char *name)
{
    const struct http_request *request = exchange_request(x);
    for (size_t i = 0; i < request->header_count; i++)
        if (slice_is(request->headers[i].name, name))
            return request->headers[i].value;
    return (struct slice){0};
}

static void assert_got(size_t len)
{
    assert_int_equal(site->got.len, len);
    assert_memory_equal(site->got.ptr, site->big, len);
}

static void refuse_now(struct exchange *x)
{
    exchange_fail(x, &(struct http_problem){.status = 401, .detail = SLICE("who are you")});
}

#define CHUNKED "POST /held HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void a_small_body_is_handed_over_whole(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, POST("Content-Length: 5\r\n\r\n"));
    turns_for(10);
    assert_int_equal(site->requests, 0);
    say(fd, "hello");
    await(fd, &heard, "\r\n\r\nhello");
    assert_false(is_more);
    buf_clear(&heard); /* its length is known: it came with its head */
    say(fd, POST("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    await(fd, &heard, "\r\n\r\nabcde");
    assert_false(is_more);
    assert_int_equal(site->bodies, 0);
    close(fd);
    buf_deinit(&heard);
}

static void a_long_body_comes_in_pieces(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_bytes = BIG;
    open_site(limits);
    int fd = dial(0);
    say(fd, POST("Content-Length: 8388608\r\n\r\n"));
    await_number(&site->requests, 1);
    assert_true(is_more && now);
    assert_true(exchange_request(now)->has_length);
    assert_int_equal(exchange_request(now)->length, BIG);
    assert_true(slice_is(header(now, "content-length"), "8388608"));
    assert_true(put(fd, (struct slice){site->big, BIG}));
    say(fd, GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    assert_non_null(strstr(heard.ptr, "8388608 bytes"));
    assert_got(BIG);
    assert_null(strstr(heard.ptr, "Connection:"));
    assert_int_equal(site->answered, 2);
    close(fd);
    buf_deinit(&heard);
}

static void a_handler_may_nibble(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    appetite = 999;
    int fd = dial(0);
    say(fd, POST("Content-Length: 500000\r\n\r\n"));
    assert_true(put(fd, (struct slice){site->big, 500000}));
    await(fd, &heard, "500000 bytes");
    assert_got(500000);
    close(fd);
    buf_deinit(&heard);
}

static void a_chunked_body_comes_as_it_does(void **state)
{
    (void)state;
    struct buf heard = {0};
    size_t count;
    open_site(usual);
    int fd = dial(0);
    say(fd, CHUNKED "5\r\nhe");
    await_number(&site->requests, 1);
    assert_true(is_more);
    assert_false(exchange_request(now)->has_length);
    assert_null(header(now, "content-length").ptr);
    assert_null(header(now, "transfer-encoding").ptr);
    assert_true(slice_is(exchange_body(now), "he"));
    say(fd, "llo\r\n1");
    await_number(&site->bodies, 1);
    assert_true(slice_is(exchange_body(now), "hello"));
    exchange_consume(now, 4);
    say(fd, "\r\n!\r\n0\r\nX-Sum: 7 \r\nContent-Length: 9\r\nSet-Cookie: a\r\nSum2:\r\n\r\n");
    for (int i = 0; i < 1000 && !exchange_body_ended(now); i++)
        turn();
    assert_true(slice_is(exchange_body(now), "o!"));
    const struct field *trailers = exchange_trailers(now, &count);
    assert_int_equal(count, 2);
    assert_true(slice_is(trailers[0].name, "x-sum") && slice_is(trailers[0].value, "7"));
    assert_true(slice_is(trailers[1].name, "sum2") && slice_is(trailers[1].value, ""));
    answer(now, SLICE("done"));
    await(fd, &heard, "\r\n\r\ndone");
    say(fd, GET("/next"));
    await(fd, &heard, "/next");
    close(fd);
    buf_deinit(&heard);
}

static void what_is_not_consumed_is_not_read(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_bytes = BIG;
    open_site(limits);
    appetite = 0;
    int fd = dial(0);
    say(fd, POST("Content-Length: 8388608\r\n\r\n"));
    size_t sent = 0;
    for (int quiet = 0; quiet < 50;) {
        ssize_t n = send(fd, site->big + sent, BIG - sent, MSG_NOSIGNAL);
        quiet = n > 0 ? 0 : quiet + 1;
        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    assert_in_range(sent, EXCHANGE_INLINE, BIG - 1);
    struct conn *conn = now->conn;
    assert_in_range(exchange_body(now).len, EXCHANGE_INLINE, 2 * EXCHANGE_INLINE);
    assert_in_range(exchange_body(now).len + conn->stream.in.len, 1, 3 * EXCHANGE_INLINE);
    unsigned calls = site->bodies;
    exchange_consume(now, 0);
    turns_for(20);
    assert_int_equal(site->bodies, calls);
    buf_append(&site->got, exchange_body(now).ptr, 40000);
    exchange_consume(now, 40000); /* the rest is more than half of what it may hold */
    size_t left = exchange_body(now).len;
    if (left >= EXCHANGE_INLINE / 2) {
        turns_for(20);
        assert_int_equal(site->bodies, calls);
    }
    appetite = SIZE_MAX;
    eat(now);
    assert_true(put(fd, (struct slice){site->big + sent, BIG - sent}));
    await(fd, &heard, "8388608 bytes");
    assert_got(BIG);
    close(fd);
    buf_deinit(&heard);
}

static void only_a_willing_connection_grows_impatient(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_timeout_ms = 100;
    open_site(limits);
    appetite = 0;
    int fd = dial(0);
    say(fd, POST("Content-Length: 300000\r\n\r\n"));
    IGNORE(put(fd, (struct slice){site->big, 300000})); /* the handler takes nothing */
    turns_for(250);
    assert_int_equal(site->gone, 0);
    appetite = SIZE_MAX;
    eat(now);
    await(fd, &heard, "300000 bytes");
    buf_clear(&heard);
    buf_clear(&site->got);
    say(fd, POST("Content-Length: 300000\r\n\r\n"));
    assert_true(put(fd, (struct slice){site->big, 1000}));
    await_number(&site->gone, 1);
    await(fd, &heard, "HTTP/1.1 408 ");
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    assert_int_equal(site->last_status, 408);
    assert_int_equal(site->answered, 2);
    assert_int_equal(site->refused, 0); /* it is told once */
    close(fd);
    buf_deinit(&heard);
}

static void a_body_may_go_bad_after_it_was_handed_over(void **state)
{
    (void)state;

    static const struct {
        const char *begins, *goes_on, *want;
        unsigned status;
    } cases[] = {
        {CHUNKED "5\r\nhello\r\n", "nonsense\r\n", "HTTP/1.1 400 ", 400},
        {CHUNKED "5\r\nhello\r\n", "ffffffff\r\n", "HTTP/1.1 413 ", 413},
    };

    open_site(usual);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf heard = {0};
        int fd = dial(0);
        site->gone = site->requests = 0;
        say(fd, cases[i].begins);
        await_number(&site->requests, 1);
        say(fd, cases[i].goes_on);
        await(fd, &heard, cases[i].want);
        assert_int_equal(site->gone, 1);
        assert_int_equal(site->last_status, cases[i].status);
        shutdown(fd, SHUT_WR);
        assert_int_equal(hear(fd, &heard, 1000), ENDED);
        close(fd);
        buf_deinit(&heard);
    }
    assert_int_equal(site->refused, 0);
}

static void a_chunked_body_is_counted_while_it_is_consumed(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_bytes = 200000;
    open_site(limits);
    int fd = dial(0);
    say(fd, POST("Transfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 4; i++) {
        say(fd, "c000\r\n"); /* 49152 each */
        assert_true(put(fd, (struct slice){site->big, 0xc000}));
        say(fd, "\r\n");
    }
    assert_int_equal(site->gone, 0);
    IGNORE(put(fd, SLICE("c000\r\n"))); /* the answer is what counts */
    await(fd, &heard, "HTTP/1.1 413 ");
    assert_int_equal(site->got.len, 4 * 0xc000);
    close(fd);
    buf_deinit(&heard);
}

static void a_bad_body_behind_a_begun_answer_cuts_the_connection(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct err why;
    open_site(usual);
    int fd = dial(0);
    say(fd, CHUNKED);
    await_number(&site->requests, 1);
    assert_true(exchange_begin(now, &(struct http_answer){.status = 200}, &why));
    await(fd, &heard, "\r\n\r\n");
    say(fd, "nonsense\r\n");
    await_number(&site->gone, 1);
    assert_int_not_equal(hear(fd, &heard, 1000), STILL_OPEN);
    assert_int_equal(occurrences(&heard, "HTTP/1.1"), 1);
    assert_int_equal(occurrences(&heard, "\r\n0\r\n\r\n"), 0); /* a request id may end in 0 */
    assert_int_equal(site->last_status, 200);
    close(fd);
    buf_deinit(&heard);
}

static void the_rest_of_an_unwanted_body_is_thrown_away(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    assert_true(put(fd, (struct slice){site->big, 20000}));
    await_number(&site->requests, 1);
    refuse_now(now);
    await(fd, &heard, "HTTP/1.1 401 ");
    assert_null(strstr(heard.ptr, "Connection: close"));
    assert_true(put(fd, (struct slice){site->big, 180000}));
    say(fd, GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    assert_int_equal(site->requests, 2);
    close(fd);
    fd = dial(0); /* that it does not come ends the connection */
    say(fd, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    await_number(&site->requests, 3);
    refuse_now(now);
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    close(fd);
    buf_deinit(&heard);
}

static void a_choked_body_is_thrown_away_too(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    assert_true(put(fd, (struct slice){site->big, 300000}));
    turns_for(50);
    assert_true(now->in.choked);
    refuse_now(now);
    await(fd, &heard, "HTTP/1.1 401 ");
    assert_null(strstr(heard.ptr, "Connection: close"));
    say(fd, GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    close(fd);
    buf_deinit(&heard);
}

static void who_sends_far_too_much_sees_the_answer_all_the_same(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n",
        CHUNKED "5b8d80\r\n", /* 6000000 */
    };
    struct http_limits limits = usual;
    limits.body_bytes = BIG;
    open_site(limits);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct buf heard = {0};
        int fd = dial(0);
        site->requests = 0;
        say(fd, requests[i]);
        await_number(&site->requests, 1);
        refuse_now(now);
        assert_true(put(fd, (struct slice){site->big, 6000000}));
        await(fd, &heard, "HTTP/1.1 401 ");
        assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
        shutdown(fd, SHUT_WR);
        assert_int_equal(hear(fd, &heard, 1000), ENDED);
        close(fd);
        buf_deinit(&heard);
    }
}

static void the_handler_says_when_to_continue(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.body_timeout_ms = limits.header_timeout_ms = limits.idle_timeout_ms = 100;
    open_site(limits);
    wants = false;
    int fd = dial(0);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n"));
    await_number(&site->requests, 1);
    assert_int_equal(hear(fd, &heard, 200), STILL_OPEN); /* it waits for us: no timeout */
    assert_int_equal(heard.len, 0);
    exchange_continue(now);
    exchange_continue(now);
    await(fd, &heard, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(put(fd, (struct slice){site->big, 100000}));
    await(fd, &heard, "100000 bytes");
    assert_int_equal(occurrences(&heard, "100 Continue"), 1);
    assert_got(100000);
    buf_clear(&heard);
    buf_clear(&site->got);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n"));
    await_number(&site->requests, 2);
    assert_true(put(fd, (struct slice){site->big, 100000})); /* did not wait */
    await(fd, &heard, "100000 bytes");
    assert_int_equal(occurrences(&heard, "100 Continue"), 0);
    buf_clear(&heard);
    say(fd, POST("Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n"));
    await_number(&site->requests, 3);
    refuse_now(now); /* will it send the body or not?  Nobody knows. */
    await(fd, &heard, "HTTP/1.1 401 ");
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static void a_client_may_leave_in_the_midst(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, POST("Content-Length: 100000\r\n\r\nhalf"));
    await_number(&site->requests, 1);
    break_off(fd);
    await_number(&site->gone, 1);
    assert_int_equal(site->last_status, 499);
    fd = dial(0);
    say(fd, POST("Content-Length: 100000\r\n\r\nhalf"));
    await_number(&site->requests, 2);
    shutdown(fd, SHUT_WR);
    await_number(&site->gone, 2);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "HTTP/1.1 400 "));
    close(fd);
    turns_for(10);
    assert_int_equal(http_server_connections(site->server), 0);
    buf_deinit(&heard);
}

static void who_ends_with_the_body_is_answered(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    await_number(&site->requests, 1);
    turns_for(150); /* longer ago than a client that leaves might be taken for */
    assert_true(put(fd, (struct slice){site->big, 100000}));
    shutdown(fd, SHUT_WR);
    turns_for(30);
    for (int i = 0; i < 1000 && !exchange_body_ended(now); i++) {
        exchange_consume(now, exchange_body(now).len);
        turn();
    }
    turns_for(20);
    assert_true(now->conn->half_closed);
    assert_int_equal(site->gone, 0);
    answer(now, SLICE("done"));
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "\r\n\r\ndone"));
    close(fd);
    buf_deinit(&heard);
}

static void old_clients_send_long_bodies_too(void **state)
{
    (void)state;
    struct buf heard = {0};
    open_site(usual);
    int fd = dial(0);
    say(fd, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n");
    assert_true(put(fd, (struct slice){site->big, 100000}));
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_int_equal(strncmp(buf_cstr(&heard), "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(heard.ptr, "100000 bytes"));
    assert_got(100000);
    close(fd);
    buf_deinit(&heard);
}

static void who_takes_no_pieces_gets_all_at_once(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    open_site(limits);
    site->handler.body = NULL;
    int fd = dial(0);
    say(fd, POST("Content-Length: 500000\r\n\r\n"));
    assert_true(put(fd, (struct slice){site->big, 500000}));
    hear_bytes(fd, &heard, 500000);
    hear(fd, &heard, 50);
    assert_memory_equal(heard.ptr + heard.len - 500000, site->big, 500000);
    assert_false(is_more);
    close(fd);
    buf_deinit(&heard);
}

static void freeing_tells_of_bodies_that_are_on_their_way(void **state)
{
    (void)state;
    open_site(usual);
    int fd = dial(0);
    say(fd, POST("Content-Length: 100000\r\n\r\nhalf"));
    await_number(&site->requests, 1);
    http_server_free(site->server);
    site->server = NULL;
    assert_int_equal(site->gone, 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_small_body_is_handed_over_whole),
        SITE_TEST(a_long_body_comes_in_pieces),
        SITE_TEST(a_handler_may_nibble),
        SITE_TEST(a_chunked_body_comes_as_it_does),
        SITE_TEST(what_is_not_consumed_is_not_read),
        SITE_TEST(only_a_willing_connection_grows_impatient),
        SITE_TEST(a_body_may_go_bad_after_it_was_handed_over),
        SITE_TEST(a_chunked_body_is_counted_while_it_is_consumed),
        SITE_TEST(a_bad_body_behind_a_begun_answer_cuts_the_connection),
        SITE_TEST(the_rest_of_an_unwanted_body_is_thrown_away),
        SITE_TEST(a_choked_body_is_thrown_away_too),
        SITE_TEST(who_sends_far_too_much_sees_the_answer_all_the_same),
        SITE_TEST(the_handler_says_when_to_continue),
        SITE_TEST(a_client_may_leave_in_the_midst),
        SITE_TEST(who_ends_with_the_body_is_answered),
        SITE_TEST(old_clients_send_long_bodies_too),
        SITE_TEST(who_takes_no_pieces_gets_all_at_once),
        SITE_TEST(freeing_tells_of_bodies_that_are_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
