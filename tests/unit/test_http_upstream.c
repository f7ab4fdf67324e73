/* Links to one address: what is kept, for how long, and what becomes of it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/upstream.h"
#include "loop/listener.h"

#include <cmocka.h>

enum { GUESTS_MAX = 200, PATIENCE_MS = 10000, TIMEOUT_MS = 5000 };

#define HI "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

struct stage {
    struct loop loop;
    struct listener listener;
    struct timer tick;
    struct stream guests[GUESTS_MAX];
    unsigned guest_count, guests_gone;
    const char *says; /* in answer to each request; NULL: nothing */
    struct upstream up;
    struct upstream_link *links[GUESTS_MAX];
    unsigned opened, answered, failed;
    enum client_failure failure;
};

static size_t on_request(struct stream *s, struct slice bytes)
{
    struct stage *stage = container_of(s->loop, struct stage, loop);
    if (stage->says && memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4))
        stream_write(s, slice_of(stage->says));
    return bytes.len;
}

static void on_guest_ended(struct stream *s, int status)
{
    (void)status;
    stream_close(s);
}

static void on_guest_gone(struct stream *s)
{
    container_of(s->loop, struct stage, loop)->guests_gone++;
}

static const struct stream_ops guest_ops = {
    .data = on_request,
    .ended = on_guest_ended,
    .gone = on_guest_gone,
};

static void on_incoming(struct listener *l)
{
    struct stage *stage = container_of(l, struct stage, listener);
    assert_true(stage->guest_count < GUESTS_MAX);
    struct stream *s = &stage->guests[stage->guest_count++];
    assert_int_equal(stream_init_tcp(s, &stage->loop, &guest_ops), 0);
    assert_int_equal(listener_accept(l, s), 0);
    stream_start(s, SIZE_MAX);
}

static void on_listener_gone(struct listener *l)
{
    (void)l;
}

static const struct listener_ops listener_ops = {on_incoming, on_listener_gone};

/* -------------------------------------------------------------------- links */

static struct stage *of_client(struct client *c)
{
    return container_of(c, struct upstream_link, client)->owner;
}

static void on_opened(struct client *c)
{
    of_client(c)->opened++;
}

static void on_head(struct client *c, const struct answer_head *head)
{
    upstream_read_keep_alive(container_of(c, struct upstream_link, client), head);
}

static void on_body(struct client *c, struct slice bytes)
{
    (void)c, (void)bytes;
}

static void on_answered(struct client *c)
{
    struct stage *stage = of_client(c);
    stage->answered++;
    upstream_give(container_of(c, struct upstream_link, client));
}

static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    struct stage *stage = of_client(c);
    (void)code, (void)why;
    stage->failed++;
    stage->failure = failure;
    upstream_drop(container_of(c, struct upstream_link, client));
}

static const struct client_ops ops = {
    .opened = on_opened,
    .head = on_head,
    .body = on_body,
    .answered = on_answered,
    .failed = on_failed,
};

/* -------------------------------------------------------------------- stage */

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct stage, tick)->loop);
}

static void run_for(struct stage *stage, uint64_t ms)
{
    timer_start(&stage->loop, &stage->tick, ms, on_tick);
    loop_run(&stage->loop);
    timer_stop(&stage->loop, &stage->tick);
}

static void turn(struct stage *stage, uint64_t since_ms, const char *awaited)
{
    run_for(stage, 2);
    if (loop_now(&stage->loop) - since_ms > PATIENCE_MS)
        fail_msg("never came true: %s (failed %u)", awaited, stage->failed);
}

#define until(stage, condition)                                                                \
    for (uint64_t since_ms = loop_now(&(stage)->loop); !(condition);)                          \
    turn(stage, since_ms, #condition)

static struct stage *stage_new(const char *says, const char *host)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));
    struct err err;
    char address[64];
    stage->says = says;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_init(&stage->loop), 0);
    if (listener_open(&stage->listener, &stage->loop, "127.0.0.1:0", &listener_ops, &err))
        fail_msg("%s", err.text);
    snprintf(address, sizeof(address), "%s:%s", host,
             strrchr(stage->listener.address, ':') + 1);
    if (upstream_init(&stage->up, &stage->loop, address, &err))
        fail_msg("%s", err.text);
    return stage;
}

static void stage_free(struct stage *stage)
{
    upstream_close(&stage->up);
    until(stage, stage->up.links == 0);
    upstream_deinit(&stage->up);
    for (unsigned i = 0; i < stage->guest_count; i++)
        stream_close(&stage->guests[i]);
    listener_close(&stage->listener);
    run_for(stage, 1);
    assert_int_equal(loop_deinit(&stage->loop), 0);
    xfree(stage);
}

static void ask(struct upstream_link *link)
{
    client_begin(&link->client,
                 &(struct client_ask){.head = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                      .timeout_ms = TIMEOUT_MS});
}

/* So many links at once, which are then all idle, or as many as are kept. */
static void fill(struct stage *stage, unsigned count)
{
    unsigned opened = stage->opened + count, answered = stage->answered + count;
    for (unsigned i = 0; i < count; i++)
        stage->links[i] = upstream_open(&stage->up, TIMEOUT_MS, &ops, stage);
    until(stage, stage->opened == opened);
    for (unsigned i = 0; i < count; i++)
        ask(stage->links[i]);
    until(stage, stage->answered == answered);
}

static void a_link_is_kept_and_lent_again(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    assert_true(upstream_known(&stage->up));
    assert_null(upstream_take(&stage->up, UINT64_MAX, &ops, stage));
    fill(stage, 1);
    assert_int_equal(stage->up.idle_count, 1);
    struct upstream_link *link = upstream_take(&stage->up, UINT64_MAX, &ops, stage);
    assert_ptr_equal(link, stage->links[0]);
    assert_true(link->kept);
    assert_int_equal(stage->up.idle_count, 0);
    assert_null(upstream_take(&stage->up, UINT64_MAX, &ops, stage));
    ask(link);
    until(stage, stage->answered == 2);
    assert_int_equal(stage->guest_count, 1);
    stage_free(stage);
}

static void one_that_idled_long_is_not_lent_for_what_must_not_be_lost(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    fill(stage, 1);
    run_for(stage, 60);
    assert_null(upstream_take(&stage->up, 20, &ops, stage));
    struct upstream_link *link = upstream_take(&stage->up, 5000, &ops, stage);
    assert_non_null(link);
    upstream_drop(link);
    stage_free(stage);
}

static void only_so_many_are_kept(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    fill(stage, UPSTREAM_IDLE_MAX + 20);
    assert_int_equal(stage->up.idle_count, UPSTREAM_IDLE_MAX);
    until(stage, stage->up.links == UPSTREAM_IDLE_MAX);
    stage_free(stage);
}

static void one_that_the_other_side_closes_is_gone(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    fill(stage, 2);
    stream_close(&stage->guests[0]);
    until(stage, stage->up.links == 1);
    assert_int_equal(stage->up.idle_count, 1);
    stream_write(&stage->guests[1], SLICE(HI)); /* nobody asked: whose answer would it be? */
    until(stage, stage->up.links == 0);
    assert_int_equal(stage->failed, 0);
    stage_free(stage);
}

/* It is closed before the other side does it, in the midst of a request. */
static void it_rests_for_less_than_was_promised(void **state)
{
    (void)state;
    struct stage *stage = stage_new(
        "HTTP/1.1 200 OK\r\nKeep-Alive: max=9, timeout=1\r\nContent-Length: 0\r\n\r\n",
        "127.0.0.1");
    fill(stage, 1);
    run_for(stage, 200);
    assert_int_equal(stage->up.idle_count, 1);
    run_for(stage, 600);
    assert_int_equal(stage->up.links, 0);
    stage_free(stage);
}

static void an_answer_that_was_the_last_is_not_kept(void **state)
{
    (void)state;
    struct stage *stage = stage_new(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "127.0.0.1");
    fill(stage, 1);
    assert_int_equal(stage->up.idle_count, 0);
    until(stage, stage->up.links == 0);
    stage_free(stage);
}

/* The answer came first: what follows of the request would be taken for the next one. */
static void one_whose_request_was_not_whole_is_not_kept(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    struct upstream_link *link = upstream_open(&stage->up, TIMEOUT_MS, &ops, stage);
    until(stage, stage->opened == 1);
    client_begin(
        &link->client,
        &(struct client_ask){
            .head = SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
            .more = true,
            .timeout_ms = TIMEOUT_MS});
    until(stage, stage->answered == 1);
    assert_int_equal(stage->up.idle_count, 0);
    stage_free(stage);
}

static void nothing_is_kept_after_the_end(void **state)
{
    (void)state;
    struct stage *stage = stage_new(NULL, "127.0.0.1");
    struct upstream_link *link = upstream_open(&stage->up, TIMEOUT_MS, &ops, stage);
    until(stage, stage->opened == 1);
    ask(link);
    until(stage, stage->guest_count == 1);
    upstream_close(&stage->up);
    stream_write(&stage->guests[0], SLICE(HI));
    until(stage, stage->answered == 1);
    assert_int_equal(stage->up.idle_count, 0);
    stage_free(stage);
}

static void a_name_is_looked_up_on_the_way(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "localhost");
    assert_false(upstream_known(&stage->up));
    until(stage, upstream_known(&stage->up));
    fill(stage, 1);
    upstream_worked(stage->links[0]); /* ::1 refused, if it was the first */
    unsigned opened = stage->guest_count;
    fill(stage, 1);
    assert_int_equal(stage->links[0]->client.nth, 0);
    assert_int_equal(stage->guest_count, opened + 1);
    stage_free(stage);
}

static void a_name_that_nobody_has_says_so(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "nobody.invalid");
    until(stage, stage->up.trouble[0]);
    assert_non_null(strstr(stage->up.trouble, "nobody.invalid"));
    assert_false(upstream_known(&stage->up));
    stage_free(stage);
}

static void a_lookup_may_be_given_up(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "localhost");
    upstream_close(&stage->up);
    run_for(stage, 100);
    assert_false(upstream_known(&stage->up));
    stage_free(stage);
}

static void a_local_port_may_be_on_either_loopback(void **state)
{
    (void)state;
    struct stage *stage = stage_new(HI, "127.0.0.1");
    const char *port = strrchr(stage->listener.address, ':') + 1;
    upstream_close(&stage->up);
    upstream_init_local(&stage->up, &stage->loop, (uint16_t)atoi(port));
    struct sockaddr_storage v4 = stage->up.peer.at[0].inet;
    stage->up.peer.at[0].inet = stage->up.peer.at[1].inet;
    stage->up.peer.at[1].inet = v4; /* as if it listened on ::1 alone, the other way round */
    fill(stage, 1);
    assert_int_equal(stage->links[0]->client.nth, 1);
    upstream_worked(stage->links[0]);
    fill(stage, 1);
    assert_int_equal(stage->links[0]->client.nth, 0);
    stage_free(stage);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_is_kept_and_lent_again),
        cmocka_unit_test(one_that_idled_long_is_not_lent_for_what_must_not_be_lost),
        cmocka_unit_test(only_so_many_are_kept),
        cmocka_unit_test(one_that_the_other_side_closes_is_gone),
        cmocka_unit_test(it_rests_for_less_than_was_promised),
        cmocka_unit_test(an_answer_that_was_the_last_is_not_kept),
        cmocka_unit_test(one_whose_request_was_not_whole_is_not_kept),
        cmocka_unit_test(nothing_is_kept_after_the_end),
        cmocka_unit_test(a_name_is_looked_up_on_the_way),
        cmocka_unit_test(a_name_that_nobody_has_says_so),
        cmocka_unit_test(a_lookup_may_be_given_up),
        cmocka_unit_test(a_local_port_may_be_on_either_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
