#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench/load.h"
#include "loop/listener.h"

#include <cmocka.h>

enum { GUESTS_MAX = 600 };

#define MS  UINT64_C(1000000)
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* A server on the loop that the load runs on: what it does is up to a test. */
struct stage {
    struct loop loop;
    struct listener listener;
    struct peer peer;
    struct stream guests[GUESTS_MAX];
    bool open[GUESTS_MAX];
    unsigned guest_count;
    const char *says;
    bool closes;     /* after each answer */
    unsigned silent; /* so many requests get no answer, after `before` that do */
    unsigned before;
    unsigned asked;
    uint64_t stall_ms; /* from the first request that gets none: then all are answered */
    struct timer stall;
    struct timer tick;
    bool stop;
    struct load_options options;
    struct load_result *result;
};

static struct stage *stage_of(struct stream *s)
{
    return container_of(s->loop, struct stage, loop);
}

static void speak(struct stream *s)
{
    stream_write(s, slice_of(stage_of(s)->says));
    if (stage_of(s)->closes)
        stream_shutdown(s);
}

static void on_stall_over(struct timer *timer)
{
    struct stage *stage = container_of(timer, struct stage, stall);
    stage->silent = 0;
    for (unsigned i = 0; i < stage->guest_count; i++)
        if (stage->open[i])
            stream_poke(&stage->guests[i]);
}

/* What is not answered is left unread, and offered again when the stall is over. */
static size_t on_request(struct stream *s, struct slice bytes)
{
    struct stage *stage = stage_of(s);
    if (stage->asked >= stage->before && stage->silent) {
        if (stage->stall_ms && !timer_runs(&stage->stall))
            timer_start(&stage->loop, &stage->stall, stage->stall_ms, on_stall_over);
        return 0;
    }
    assert_int_equal(bytes.len, strlen(GET));
    stage->asked++;
    speak(s);
    return bytes.len;
}

static void on_guest_ended(struct stream *s, int status)
{
    (void)status;
    stream_close(s);
}

static void on_guest_gone(struct stream *s)
{
    struct stage *stage = stage_of(s);
    stage->open[s - stage->guests] = false;
}

static const struct stream_ops guest_ops = {
    .data = on_request,
    .ended = on_guest_ended,
    .gone = on_guest_gone,
};

static void on_incoming(struct listener *l)
{
    struct stage *stage = container_of(l, struct stage, listener);
    unsigned at = 0;
    while (at < GUESTS_MAX && stage->open[at])
        at++;
    assert_true(at < GUESTS_MAX);
    stage->guest_count = MAX(stage->guest_count, at + 1);
    stage->open[at] = true;
    struct stream *s = &stage->guests[at];
    assert_int_equal(stream_init_tcp(s, &stage->loop, &guest_ops), 0);
    assert_int_equal(listener_accept(l, s), 0);
    stream_start(s, SIZE_MAX);
}

static void on_listener_gone(struct listener *l)
{
    (void)l;
}

static const struct listener_ops listener_ops = {on_incoming, on_listener_gone};

static struct stage *stage_new(const char *says)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));
    struct err err;
    signal(SIGPIPE, SIG_IGN);
    stage->says = says;
    stage->result = xcalloc(1, sizeof(*stage->result));
    assert_int_equal(loop_init(&stage->loop), 0);
    if (listener_open(&stage->listener, &stage->loop, "127.0.0.1:0", &listener_ops, &err) ||
        peer_resolve(&stage->peer, &stage->loop, stage->listener.address, &err))
        fail_msg("%s", err.text);
    stage->options = (struct load_options){
        .peer = &stage->peer,
        .request = SLICE(GET),
        .connections = 1,
        .duration_ms = 100,
        .timeout_ms = 5000,
        .stop = &stage->stop,
    };
    return stage;
}

static void run(struct stage *stage)
{
    load_run(&stage->loop, &stage->options, stage->result);
}

/* The load must have left nothing of its own on the loop. */
static void stage_free(struct stage *stage)
{
    listener_close(&stage->listener);
    for (unsigned i = 0; i < stage->guest_count; i++)
        if (stage->open[i])
            stream_close(&stage->guests[i]);
    timer_stop(&stage->loop, &stage->stall);
    timer_stop(&stage->loop, &stage->tick);
    loop_run(&stage->loop);
    assert_int_equal(loop_deinit(&stage->loop), 0);
    xfree(stage->result);
    xfree(stage);
}

static uint64_t slow(void)
{
    const char *text = getenv("NODEY_SLOW");
    return text && atoi(text) > 1 ? (uint64_t)atoi(text) : 1;
}

/* ------------------------------------------------------------------- closed */

static void a_closed_loop_counts_every_answer_once(void **state)
{
    struct stage *stage = stage_new(OK);
    struct load_result *r = stage->result;
    (void)state;
    stage->options.connections = 300;
    run(stage);
    assert_true(r->answered > 0);
    assert_int_equal(r->statuses[200], r->answered);
    assert_int_equal(r->received, r->answered * strlen(OK));
    assert_int_equal(load_failed(r), 0);
    assert_true(stage->asked - r->latency.count <= 1);
    assert_in_range(r->latency.count - r->answered, 0, 300); /* under way at the end */
    assert_in_range(r->elapsed_ns, 100 * MS - MS, 100 * MS);
    stage_free(stage);
}

static void the_warm_up_is_asked_and_not_counted(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->options.warmup_ms = 100;
    stage->options.duration_ms = 20;
    run(stage);
    assert_true(stage->result->answered > 0);
    assert_true(stage->asked > stage->result->answered * 2);
    assert_true(stage->result->latency.count < stage->asked / 2);
    stage_free(stage);
}

static void errors_are_counted_by_their_status(void **state)
{
    struct stage *stage = stage_new("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    (void)state;
    run(stage);
    assert_true(stage->result->answered > 0);
    assert_int_equal(stage->result->statuses[503], stage->result->answered);
    assert_int_equal(load_refused(stage->result), stage->result->answered);
    assert_int_equal(load_failed(stage->result), 0);
    stage_free(stage);
}

static void a_server_that_closes_is_connected_to_again(void **state)
{
    struct stage *stage =
        stage_new("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    (void)state;
    stage->closes = true;
    stage->options.connections = 4;
    run(stage);
    assert_true(stage->result->answered > 4);
    assert_true(stage->result->reconnects >= stage->result->answered);
    assert_int_equal(load_failed(stage->result), 0);
    stage_free(stage);
}

static void a_request_without_an_answer_is_told(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->silent = 1;
    stage->before = 10;
    stage->options.connections = 3;
    run(stage);
    assert_int_equal(stage->result->unanswered, 3);
    assert_true(stage->result->latency.max >= 1000 * MS); /* it waited for them so long */
    assert_int_equal(stage->result->answered, 10);
    stage_free(stage);
}

static void a_timeout_and_a_cut_are_told_apart(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->silent = 1;
    stage->options.timeout_ms = 20;
    run(stage);
    assert_true(stage->result->failures[CLIENT_TIMEOUT] > 0);
    assert_int_equal(stage->result->failures[CLIENT_TIMEOUT], load_failed(stage->result));
    assert_string_equal(stage->result->first_failure, "no answer came in time");
    stage_free(stage);

    stage = stage_new("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    stage->closes = true;
    run(stage);
    assert_true(stage->result->failures[CLIENT_CLOSED] > 0);
    assert_int_equal(stage->result->latency.count, 0);
    stage_free(stage);
}

static void a_server_that_is_gone_ends_the_load_in_time(void **state)
{
    struct stage *stage = stage_new(OK);
    uint64_t start;
    (void)state;
    listener_close(&stage->listener);
    loop_run(&stage->loop);
    start = loop_clock_ns();
    stage->options.connections = 200;
    run(stage);
    assert_true(stage->result->failures[CLIENT_CONNECT] >= 200);
    assert_true(loop_clock_ns() - start < 2000 * MS * slow());
    assert_non_null(strstr(stage->result->first_failure, "cannot connect"));
    stage_free(stage);
}

static void on_tick(struct timer *timer)
{
    struct stage *stage = container_of(timer, struct stage, tick);
    stage->stop = true;
    loop_stop(&stage->loop);
}

static void it_is_stopped_early_with_what_it_has(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->options.duration_ms = 60000;
    timer_start(&stage->loop, &stage->tick, 100, on_tick);
    run(stage);
    assert_true(stage->result->answered > 0);
    assert_in_range(stage->result->elapsed_ns, 50 * MS, 5000 * MS);
    stage_free(stage);
}

/* --------------------------------------------------------------------- open */

static void an_open_loop_asks_at_its_rate(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->options.rate = 2000;
    stage->options.connections = 8;
    stage->options.duration_ms = 200;
    run(stage);
    assert_int_equal(stage->result->latency.count, 400); /* neither more nor less */
    assert_int_equal(stage->asked, 400);
    assert_int_equal(load_failed(stage->result), 0);
    stage_free(stage);
}

/*
 * The same server, which stands still for 150 ms once.  Of 300 requests at 1000/s about
 * 150 fall due in that time; a loop that waits for the answer asks just one of them.
 */
static void a_stall_is_left_out_by_a_closed_loop_and_not_by_an_open_one(void **state)
{
    struct stage *closed = stage_new(OK), *open = stage_new(OK);
    (void)state;
    closed->silent = open->silent = 1;
    closed->before = open->before = 50;
    closed->stall_ms = open->stall_ms = 150;
    closed->options.duration_ms = open->options.duration_ms = 300;
    open->options.rate = 1000;
    run(closed);
    run(open);
    assert_true(closed->result->latency.max >= 140 * MS);
    assert_true(histogram_at(&closed->result->latency, 99) < 50 * MS);
    assert_int_equal(open->result->latency.count, 300);
    assert_int_equal(load_failed(open->result), 0);
    assert_true(histogram_at(&open->result->latency, 75) > 40 * MS);
    stage_free(closed);
    stage_free(open);
}

static void what_was_due_and_never_sent_counts_too(void **state)
{
    struct stage *stage = stage_new(OK);
    (void)state;
    stage->silent = 1;
    stage->before = 10;
    stage->options.rate = 1000;
    run(stage);
    assert_int_equal(stage->asked, 10);
    assert_int_equal(stage->result->unanswered, 90);
    assert_int_equal(stage->result->latency.count, 100);
    assert_true(histogram_at(&stage->result->latency, 50) >= 1000 * MS);
    stage_free(stage);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_loop_counts_every_answer_once),
        cmocka_unit_test(the_warm_up_is_asked_and_not_counted),
        cmocka_unit_test(errors_are_counted_by_their_status),
        cmocka_unit_test(a_server_that_closes_is_connected_to_again),
        cmocka_unit_test(a_request_without_an_answer_is_told),
        cmocka_unit_test(a_timeout_and_a_cut_are_told_apart),
        cmocka_unit_test(a_server_that_is_gone_ends_the_load_in_time),
        cmocka_unit_test(it_is_stopped_early_with_what_it_has),
        cmocka_unit_test(an_open_loop_asks_at_its_rate),
        cmocka_unit_test(a_stall_is_left_out_by_a_closed_loop_and_not_by_an_open_one),
        cmocka_unit_test(what_was_due_and_never_sent_counts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
