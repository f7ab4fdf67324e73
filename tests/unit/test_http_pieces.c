#include "http/conn.h"
#include "tests/unit/site.h"

static const struct http_answer fine = {.status = 200, .content_type = {"text/plain", 10}};

static void on_body(struct exchange *x)
{
    exchange_consume(x, exchange_body(x).len);
}

static void open_site(struct http_limits limits)
{
    site->on_body = on_body;
    start(limits);
}

/* A client whose request is held. */
static int dial_and_hold(int receive_buffer, const char *request, struct exchange **x)
{
    int fd = dial(receive_buffer);
    say(fd, request);
    await_count(&site->held_count, 1);
    *x = take_held();
    return fd;
}

static void begin(struct exchange *x, const struct http_answer *answer)
{
    struct err why;
    if (!exchange_begin(x, answer, &why))
        fail_msg("%s", why.text);
}

#define HOLD "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"

static void each_piece_reaches_the_client_at_once(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_answer answer_ = fine;
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    answer_.body = SLICE("first");
    begin(x, &answer_);
    await(fd, &heard, "\r\n\r\n5\r\nfirst\r\n");
    assert_non_null(strstr(heard.ptr, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(heard.ptr, "Content-Type: text/plain\r\n"));
    assert_null(strstr(heard.ptr, "Content-Length"));
    assert_null(strstr(heard.ptr, "Connection"));
    buf_clear(&heard);
    assert_true(exchange_write(x, SLICE("0123456789abcdef")));
    assert_true(exchange_write(x, SLICE(""))); /* an empty chunk would be the last one */
    hear(fd, &heard, 30);
    assert_string_equal(buf_cstr(&heard), "10\r\n0123456789abcdef\r\n");
    assert_int_equal(site->answered, 0);
    buf_clear(&heard);
    exchange_end(x, NULL, 0);
    assert_int_equal(site->answered, 1);
    assert_int_equal(site->last_bytes, 21);
    say(fd, GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    assert_int_equal(strncmp(heard.ptr, "0\r\n\r\nHTTP/1.1 200", 17), 0);
    close(fd);
    buf_deinit(&heard);
}

static void trailers_are_sent_but_not_what_would_come_too_late(void **state)
{
    (void)state;
    static const struct field trailers[] = {
        {{"X-Sum", 5}, {"1", 1}},         {{"Content-Length", 14}, {"5", 1}},
        {{"Set-Cookie", 10}, {"a=b", 3}}, {{"bad name", 8}, {"x", 1}},
        {{"Split", 5}, {"a\r\nb: c", 7}}, {{"Server-Timing", 13}, {"db;dur=1", 8}},
    };
    struct buf heard = {0};
    struct exchange *x;
    struct field names = {SLICE("Trailer"), SLICE("X-Sum")};
    struct http_answer answer_ = fine;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    answer_.headers = &names, answer_.header_count = 1;
    begin(x, &answer_);
    exchange_end(x, trailers, ARRAY_LEN(trailers));
    await(fd, &heard, "\r\n\r\n0\r\nX-Sum: 1\r\nServer-Timing: db;dur=1\r\n\r\n");
    assert_non_null(strstr(heard.ptr, "Trailer: X-Sum\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static struct http_answer with_length(struct field *field, const char *length)
{
    struct http_answer a = fine;
    *field = (struct field){SLICE("content-length"), slice_of(length)};
    a.headers = field;
    a.header_count = 1;
    return a;
}

static void an_announced_length_is_kept(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct field field;
    struct http_answer ten = with_length(&field, "10");
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &ten);
    assert_true(exchange_write(x, SLICE("01234")));
    assert_true(exchange_write(x, SLICE("56789")));
    assert_false(exchange_write(x, SLICE("X")));
    assert_true(exchange_end(x, NULL, 0));
    await(fd, &heard, "\r\n\r\n0123456789");
    assert_non_null(strstr(heard.ptr, "Content-Length: 10\r\n"));
    assert_null(strstr(heard.ptr, "Transfer-Encoding"));
    buf_clear(&heard);
    say(fd, HOLD);
    await_count(&site->held_count, 1);
    ten.body = SLICE("0123456789ABC"); /* too much at once */
    x = take_held();
    begin(x, &ten);
    exchange_end(x, NULL, 0);
    say(fd, HOLD);
    await_count(&site->held_count, 1);
    x = take_held();
    ten.body = SLICE("");
    begin(x, &ten);
    assert_true(exchange_write(x, SLICE("only")));
    assert_false(exchange_end(x, NULL, 0)); /* less than announced: the client must see that */
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    assert_int_equal(occurrences(&heard, "\r\n\r\n0123456789HTTP/1.1 200"), 1);
    assert_string_equal(strstr(buf_cstr(&heard), "only"), "only");
    close(fd);
    buf_deinit(&heard);
}

static void lengths_that_mean_nothing_are_not_sent(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct err why;
    struct field field[2];
    struct exchange *x;
    struct http_answer bad = with_length(field, "ten");
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    assert_false(exchange_begin(x, &bad, &why));
    assert_non_null(strstr(why.text, "ten"));
    bad = with_length(field, "10");
    field[1] = (struct field){SLICE("Content-Length"), SLICE("11")};
    bad.header_count = 2;
    assert_false(exchange_begin(x, &bad, &why));
    field[1] = (struct field){SLICE("X"), SLICE("a\nb")};
    assert_false(exchange_begin(x, &bad, &why));
    exchange_fail(x, &(struct http_problem){.status = 502});
    await(fd, &heard, "HTTP/1.1 502 ");
    close(fd);
    buf_deinit(&heard);
}

static void what_is_hop_by_hop_is_the_connections(void **state)
{
    (void)state;
    static const struct field headers[] = {
        {{"Connection", 10}, {"close", 5}},
        {{"Transfer-Encoding", 17}, {"gzip", 4}},
        {{"Keep-Alive", 10}, {"timeout=5", 9}},
        {{"X-Own", 5}, {"1", 1}},
    };
    struct buf heard = {0};
    struct exchange *x;
    struct http_answer a = fine;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    a.headers = headers, a.header_count = ARRAY_LEN(headers);
    begin(x, &a);
    exchange_end(x, NULL, 0);
    await(fd, &heard, "0\r\n\r\n");
    assert_null(strstr(heard.ptr, "Connection"));
    assert_null(strstr(heard.ptr, "gzip"));
    assert_null(strstr(heard.ptr, "Keep-Alive"));
    assert_non_null(strstr(heard.ptr, "X-Own: 1\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static void an_old_client_gets_pieces_until_the_end(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct field field;
    struct http_answer four = with_length(&field, "4");
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, "GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &x);
    begin(x, &four);
    exchange_write(x, SLICE("four"));
    exchange_end(x, NULL, 0);
    await(fd, &heard, "\r\n\r\nfour");
    assert_non_null(strstr(heard.ptr, "Connection: keep-alive\r\n"));
    buf_clear(&heard);
    say(fd, "GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await_count(&site->held_count, 1);
    x = take_held();
    begin(x, &fine);
    exchange_write(x, SLICE("one "));
    exchange_write(x, SLICE("two"));
    exchange_end(x, NULL, 0);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "Connection: close\r\n"));
    assert_string_equal(strstr(heard.ptr, "\r\n\r\n"), "\r\n\r\none two");
    assert_null(strstr(heard.ptr, "chunked"));
    close(fd);
    buf_clear(&heard);
    fd = dial_and_hold(0, "GET /hold HTTP/1.0\r\n\r\n", &x);
    begin(x, &fine);
    exchange_write(x, SLICE("one "));
    await(fd, &heard, "one ");
    exchange_abort(x); /* a plain end would look like a whole answer */
    assert_int_equal(hear(fd, &heard, 1000), RESET);
    close(fd);
    buf_deinit(&heard);
}

static void where_no_body_may_be_none_is_sent(void **state)
{
    (void)state;

    static const struct {
        const char *request;
        unsigned status;
        const char *length;
    } cases[] = {
        {"HEAD /hold HTTP/1.1\r\nHost: a\r\n\r\n", 200, "Content-Length: 10\r\n"},
        {HOLD, 204, NULL},
        {HOLD, 304, "Content-Length: 10\r\n"},
        {HOLD, 205, "Content-Length: 0\r\n"},
    };

    open_site(usual);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf heard = {0};
        struct field field;
        struct http_answer a = with_length(&field, "10");
        struct exchange *x;
        int fd = dial_and_hold(0, cases[i].request, &x);
        a.status = cases[i].status;
        a.body = SLICE("01");
        begin(x, &a);
        assert_true(exchange_write(x, SLICE("23")));
        exchange_end(x, NULL, 0);
        say(fd, GET("/next"));
        await(fd, &heard, "\r\n\r\n/next");
        assert_non_null(strstr(heard.ptr, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
        assert_null(strstr(heard.ptr, "chunked"));
        *strstr(heard.ptr, "\r\n\r\n") = '\0';
        if (cases[i].length) {
            strcat(heard.ptr, "\r\n");
            assert_non_null(strstr(heard.ptr, cases[i].length));
        } else {
            assert_null(strstr(heard.ptr, "Content-Length"));
        }
        close(fd);
        buf_deinit(&heard);
    }
}

static void an_aborted_answer_looks_like_one(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    exchange_write(x, SLICE("half"));
    exchange_abort(x);
    assert_int_equal(site->answered, 1);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_string_equal(strstr(buf_cstr(&heard), "\r\n\r\n"), "\r\n\r\n4\r\nhalf\r\n");
    close(fd);
    fd = dial_and_hold(0, HOLD, &x);
    buf_clear(&heard);
    exchange_abort(x);
    assert_int_equal(hear(fd, &heard, 1000), RESET);
    assert_int_equal(heard.len, 0);
    assert_int_equal(site->gone, 0); /* who ends it need not be told */
    close(fd);
    buf_deinit(&heard);
}

static void interim_answers_come_before(void **state)
{
    (void)state;
    static const struct field links[] = {{{"Link", 4}, {"</a.css>", 8}},
                                         {{"Connection", 10}, {"x", 1}}};
    static const struct field split = {{"Link", 4}, {"a\r\nb", 4}};
    struct buf heard = {0};
    struct err why;
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    assert_true(exchange_inform(x, 103, links, 2, &why));
    await(fd, &heard, "\r\n\r\n");
    assert_string_equal(heard.ptr, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    assert_false(exchange_inform(x, 100, NULL, 0, &why));
    assert_false(exchange_inform(x, 101, NULL, 0, &why));
    assert_false(exchange_inform(x, 200, NULL, 0, &why));
    assert_false(exchange_inform(x, 103, &split, 1, &why));
    begin(x, &fine);
    assert_true(exchange_inform(x, 103, links, 2, &why)); /* too late, and no harm */
    exchange_end(x, NULL, 0);
    await(fd, &heard, "0\r\n\r\n");
    assert_int_equal(occurrences(&heard, " 103 "), 1);
    close(fd);
    buf_clear(&heard);
    fd = dial_and_hold(0, "GET /hold HTTP/1.0\r\n\r\n", &x);
    assert_true(exchange_inform(x, 103, links, 2, &why));
    answer(x, SLICE("x"));
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_int_equal(occurrences(&heard, "HTTP/1.1"), 1);
    close(fd);
    buf_deinit(&heard);
}

static size_t to_write;

/* Writes until there is enough in front of the client. */
static void write_more(struct exchange *x)
{
    while (to_write && exchange_unsent(x) <= 128 * 1024) {
        size_t from = BIG - to_write;
        size_t len = MIN(to_write, (size_t)50000);
        assert_true(exchange_write(x, (struct slice){site->big + from, len}));
        to_write -= len;
    }
    if (to_write == 0)
        exchange_end(x, NULL, 0);
}

static void check_low(struct exchange *x)
{
    assert_in_range(exchange_unsent(x), 0, EXCHANGE_LOW);
    write_more(x);
}

static void a_fast_writer_waits_for_a_slow_reader(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct field field;
    struct http_answer a = with_length(&field, "8388608");
    struct exchange *x;
    open_site(usual);
    for (size_t i = 0; i < BIG; i++)
        site->big[i] = (char)(i * 31 + (i >> 11));
    site->on_drained = check_low;
    to_write = BIG;
    int fd = dial_and_hold(65536, HOLD, &x);
    begin(x, &a);
    write_more(x);
    turns_for(100);
    /* What nodey holds, what the kernel may hold, what the client's kernel does. */
    assert_in_range(BIG - to_write, 64 * 1024, 2 << 20);
    unsigned before = site->drains;
    turns_for(50);
    assert_int_equal(site->drains, before);
    hear_bytes(fd, &heard, BIG); /* and then what the head is more */
    hear(fd, &heard, 50);
    assert_int_equal(to_write, 0);
    assert_true(site->drains > 10);
    const char *body = strstr(heard.ptr, "\r\n\r\n") + 4;
    assert_int_equal(heard.ptr + heard.len - body, BIG);
    assert_memory_equal(body, site->big, BIG);
    close(fd);
    buf_deinit(&heard);
}

static void little_is_no_reason_to_call(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    for (int i = 0; i < 50; i++) {
        exchange_write(x, (struct slice){site->big, 1000});
        turn();
    }
    assert_int_equal(site->drains, 0);
    exchange_write(x, (struct slice){site->big, EXCHANGE_LOW + 1});
    assert_true(exchange_unsent(x) > EXCHANGE_LOW);
    assert_int_equal(site->drains, 0); /* never from within */
    hear(fd, &heard, 50);
    assert_int_equal(site->drains, 1);
    assert_int_equal(exchange_unsent(x), 0);
    exchange_end(x, NULL, 0);
    close(fd);
    buf_deinit(&heard);
}

static size_t unsent_when_low;

static void note_low(struct exchange *x)
{
    unsent_when_low = exchange_unsent(x);
}

static void more_is_asked_for_before_all_has_left(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    site->on_drained = note_low;
    int fd = dial_and_hold(16384, HOLD, &x);
    begin(x, &fine);
    while (exchange_unsent(x) < 400 * 1024) { /* one write behind the other */
        exchange_write(x, (struct slice){site->big, 20000});
        turn();
    }
    turns_for(20);
    assert_int_equal(site->drains, 0);
    for (int i = 0; i < 5000 && site->drains == 0; i++)
        hear(fd, &heard, 1);
    assert_in_range(unsent_when_low, 1, EXCHANGE_LOW);
    hear(fd, &heard, 50);
    assert_int_equal(site->drains, 1);
    exchange_end(x, NULL, 0);
    close(fd);
    buf_deinit(&heard);
}

/*
 * Its kernel takes a few kilobytes, nodey's has room for the rest: nothing moves here any
 * more, but for what the client reads.
 */
static void a_very_slow_reader_is_alive(void **state)
{
    (void)state;
    struct http_limits limits = usual;
    struct exchange *x;
    limits.send_timeout_ms = 300;
    open_site(limits);
    int fd = dial_and_hold(4096, HOLD, &x);
    begin(x, &fine);
    exchange_write(x, (struct slice){site->big, BIG});
    char room[1024];
    for (int i = 0; i < 60; i++) {                   /* 1.5 s, 40 KB/s */
        IGNORE(recv(fd, room, sizeof(room), 0) < 0); /* it may have to wait */
        turns_for(25);
    }
    assert_int_equal(site->gone, 0);
    for (int i = 0; i < 200 && !site->gone; i++)
        turns_for(10); /* it stops */
    assert_int_equal(site->gone, 1);
    assert_int_equal(site->last_status, 499);
    struct buf heard = {0};
    assert_int_equal(hear(fd, &heard, 500), RESET);
    close(fd);
    buf_deinit(&heard);
}

static void a_stream_may_be_idle_for_long(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    struct exchange *x;
    limits.send_timeout_ms = limits.idle_timeout_ms = limits.body_timeout_ms = 50;
    open_site(limits);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    struct conn *conn = x->conn;
    await(fd, &heard, "\r\n\r\n");
    turns_for(200);
    assert_false(timer_runs(&conn->send)); /* it costs nothing meanwhile */
    assert_false(timer_runs(&conn->timer));
    exchange_write(x, SLICE("still here"));
    await(fd, &heard, "still here");
    exchange_end(x, NULL, 0);
    await(fd, &heard, "0\r\n\r\n");
    assert_int_equal(site->gone, 0);
    close(fd);
    buf_deinit(&heard);
}

static void a_client_that_leaves_ends_the_stream(void **state)
{
    (void)state;
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    turns_for(150);
    close(fd);
    await_number(&site->gone, 1);
    fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    turns_for(10);
    break_off(fd);
    await_number(&site->gone, 2);
    /* One that shut its side with its request is told apart only by writing to it. */
    fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    shutdown(fd, SHUT_WR);
    turns_for(150);
    assert_int_equal(site->gone, 2);
    exchange_write(x, SLICE("x"));
    turns_for(10);
    assert_int_equal(site->gone, 2);
    break_off(fd);
    for (int i = 0; i < 10 && site->gone == 2; i++) {
        exchange_write(x, SLICE("x"));
        turns_for(5);
    }
    assert_int_equal(site->gone, 3);
    assert_int_equal(site->last_status, 499);
    turns_for(10);
    assert_int_equal(http_server_connections(site->server), 0);
}

static void who_shuts_its_side_gets_the_whole_stream(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD, &x);
    shutdown(fd, SHUT_WR);
    begin(x, &fine);
    turns_for(150);
    exchange_write(x, SLICE("late"));
    exchange_end(x, NULL, 0);
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_non_null(strstr(buf_cstr(&heard), "4\r\nlate\r\n0\r\n\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static void requests_behind_a_stream_wait(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(0, HOLD GET("/second") GET("/third"), &x);
    begin(x, &fine);
    turns_for(20);
    assert_int_equal(site->requests, 1);
    exchange_write(x, SLICE("first"));
    exchange_end(x, NULL, 0);
    await(fd, &heard, "/third");
    assert_true(strstr(heard.ptr, "first") < strstr(heard.ptr, "/second"));
    close(fd);
    buf_deinit(&heard);
}

static void draining_lets_a_stream_go_on(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    struct http_limits limits = usual;
    open_site(limits);
    int fd = dial_and_hold(0, HOLD, &x);
    begin(x, &fine);
    http_server_drain(site->server, on_site_drained, site);
    turns_for(1200); /* an idle connection would be closed by now */
    exchange_write(x, SLICE("more"));
    await(fd, &heard, "4\r\nmore\r\n");
    assert_false(site->drained);
    exchange_end(x, NULL, 0);
    await(fd, &heard, "0\r\n\r\n");
    buf_clear(&heard);
    say(fd, GET("/last"));
    await(fd, &heard, "/last");
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    assert_int_equal(hear(fd, &heard, 2000), ENDED);
    close(fd);
    for (int i = 0; i < 300 && !site->drained; i++)
        turns_for(10);
    assert_true(site->drained);
    buf_deinit(&heard);
}

static void a_body_and_its_answer_may_cross(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(
        0, "POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &x);
    begin(x, &fine);
    for (int i = 0; i < 5; i++) {
        say(fd, "4\r\nping\r\n");
        await_number(&site->bodies, (unsigned)i + 1);
        exchange_write(x, SLICE("pong"));
        await(fd, &heard, "4\r\npong\r\n");
        buf_clear(&heard);
    }
    say(fd, "0\r\n\r\n");
    for (int i = 0; i < 1000 && !exchange_body_ended(x); i++)
        turn();
    exchange_end(x, NULL, 0);
    say(fd, GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    close(fd);
    buf_deinit(&heard);
}

static void an_answer_that_ends_before_the_body_ends_the_connection(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct exchange *x;
    open_site(usual);
    int fd = dial_and_hold(
        0, "POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &x);
    begin(x, &fine);
    exchange_end(x, NULL, 0);
    say(fd, "4\r\nping\r\n0\r\n\r\n" GET("/next"));
    assert_int_equal(hear(fd, &heard, 200), ENDED);
    assert_int_equal(occurrences(&heard, "HTTP/1.1"), 1);
    assert_non_null(strstr(buf_cstr(&heard), "0\r\n\r\n"));
    assert_int_equal(site->requests, 1);
    close(fd);
    buf_deinit(&heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(each_piece_reaches_the_client_at_once),
        SITE_TEST(trailers_are_sent_but_not_what_would_come_too_late),
        SITE_TEST(an_announced_length_is_kept),
        SITE_TEST(lengths_that_mean_nothing_are_not_sent),
        SITE_TEST(what_is_hop_by_hop_is_the_connections),
        SITE_TEST(an_old_client_gets_pieces_until_the_end),
        SITE_TEST(where_no_body_may_be_none_is_sent),
        SITE_TEST(an_aborted_answer_looks_like_one),
        SITE_TEST(interim_answers_come_before),
        SITE_TEST(a_fast_writer_waits_for_a_slow_reader),
        SITE_TEST(little_is_no_reason_to_call),
        SITE_TEST(more_is_asked_for_before_all_has_left),
        SITE_TEST(a_very_slow_reader_is_alive),
        SITE_TEST(a_stream_may_be_idle_for_long),
        SITE_TEST(a_client_that_leaves_ends_the_stream),
        SITE_TEST(who_shuts_its_side_gets_the_whole_stream),
        SITE_TEST(requests_behind_a_stream_wait),
        SITE_TEST(draining_lets_a_stream_go_on),
        SITE_TEST(a_body_and_its_answer_may_cross),
        SITE_TEST(an_answer_that_ends_before_the_body_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
