/* Messages of the bus with workers: seats, who goes first, and how such a call ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pool/event.h"
#include "tests/unit/rig.h"

#include <cmocka.h>

/* A message that is given to an actor, which never answers what it does not know. */
struct given {
    struct call call;
    unsigned ends;
    char code[40];
    bool ended, begun, planned;
};

static const int kind_a, kind_b; /* only their addresses count */

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    (void)call;
    (void)w;
    (void)left_ms;
    (void)nested;
    frame_write_event(out, &(struct frame_event){.id = id,
                                                 .topic = SLICE("a"),
                                                 .group = SLICE("g"),
                                                 .attempt = 1,
                                                 .data = SLICE("{}")});
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct given *g = container_of(call, struct given, call);
    g->ends++;
    if (!reply->failure)
        return;
    snprintf(g->code, sizeof(g->code), "%s", reply->failure->code);
    g->ended = reply->failure->ended;
    g->begun = reply->failure->begun;
    g->planned = reply->failure->planned;
}

static const struct call_ops given_ops = {.write = on_write, .done = on_done};

static void give(struct given *g, struct worker *w, const void *kind, bool alone,
                 uint64_t timeout_ms)
{
    *g = (struct given){0};
    call_init(&g->call, CALL_EVENT, &given_ops);
    event_give(w, &g->call, kind, alone, timeout_ms);
}

static struct worker_config several(void)
{
    struct worker_config config =
        rig_config("many", "ready(features=['events', 'cancel'], concurrency=4)");
    config.kill_after = 100;
    return config;
}

static void a_seat_is_taken_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    struct given one, two;
    rig_until(rig, rig->readies == 1);
    struct worker *w = rig_worker(pool, 0);
    assert_null(event_worker(pool, &kind_a, false));
    event_seat(w, &kind_a, 2);
    event_seat(w, &kind_b, 1);
    assert_ptr_equal(event_worker(pool, &kind_a, false), w);
    give(&one, w, &kind_a, false, 0);
    assert_null(event_worker(pool, &kind_a, true)); /* one of its kind is there */
    assert_ptr_equal(event_worker(pool, &kind_b, true), w);
    give(&two, w, &kind_a, false, 0);
    assert_null(event_worker(pool, &kind_a, false));
    event_unseat(w);
    assert_null(event_worker(pool, &kind_b, false));
    assert_int_equal(one.ends + two.ends, 0); /* what it has goes on */
    call_cancel(&one.call, "disconnect");
    call_cancel(&two.call, "disconnect");
    rig_free(rig);
}

static void alone_is_alone_until_it_is_over(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    struct given one;
    rig_until(rig, rig->readies == 1);
    struct worker *w = rig_worker(pool, 0);
    event_seat(w, &kind_a, 4);
    give(&one, w, &kind_a, true, 0);
    assert_null(event_worker(pool, &kind_a, false));
    struct slot *slot = one.call.slot;
    call_cancel(&one.call, NULL);
    assert_null(event_worker(pool, &kind_a, false)); /* it may still be at it */
    slot_close(slot);
    assert_ptr_equal(event_worker(pool, &kind_a, false), w);
    rig_free(rig);
}

static void what_it_may_have_begun_is_told_when_it_dies(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    struct given sent, unsent;
    rig_until(rig, rig->readies == 1);
    struct worker *w = rig_worker(pool, 0);
    event_seat(w, &kind_a, 4);
    give(&sent, w, &kind_a, false, 0);
    rig_linger(rig, 50);
    give(&unsent, w, &kind_a, false, 0); /* its line has not left */
    proc_signal(&w->proc, SIGKILL);
    stream_close(&w->proc.in);
    rig_until(rig, sent.ends && unsent.ends);
    assert_true(sent.ended && sent.begun && !sent.planned);
    assert_true(unsent.ended && !unsent.begun);
    rig_free(rig);
}

static void a_stop_is_nobody_s_fault(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    struct given one;
    rig_until(rig, rig->readies == 1);
    event_seat(rig_worker(pool, 0), &kind_a, 4);
    give(&one, rig_worker(pool, 0), &kind_a, false, 0);
    rig_linger(rig, 50);
    worker_drain(rig_worker(pool, 0), 50, "it is to go");
    assert_null(event_worker(pool, &kind_a, false));
    rig_until(rig, one.ends);
    assert_true(one.ended && one.planned);
    rig_free(rig);
}

static void a_time_may_be_renewed_and_ends(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    struct given one;
    rig_until(rig, rig->readies == 1);
    event_seat(rig_worker(pool, 0), &kind_a, 4);
    uint64_t time = 150 * rig_slow();
    give(&one, rig_worker(pool, 0), &kind_a, false, time);
    for (int i = 0; i < 4; i++) {
        rig_linger(rig, time / 2);
        event_progress(&one.call);
    }
    assert_int_equal(one.ends, 0);
    rig_until(rig, one.ends);
    assert_string_equal(one.code, "deadline_exceeded");
    assert_false(one.ended);
    rig_free(rig);
}

static void who_does_not_read_is_told_nothing_more(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config = several();
    struct pool *pool = rig_pool(rig, &config);
    char line[4096];
    unsigned told = 0;
    rig_until(rig, rig->readies == 1);
    struct worker *w = rig_worker(pool, 0);
    event_seat(w, &kind_a, 4);
    memset(line, ' ', sizeof(line));
    memcpy(line, "{\"type\":\"gap\"", 13);
    memcpy(line + sizeof(line) - 2, "}\n", 2);
    proc_signal(&w->proc, SIGSTOP);
    while (told < 1000 && event_tell(w, (struct slice){line, sizeof(line)})) {
        told++;
        rig_linger(rig, 1);
    }
    assert_in_range(told, 10, 999);
    assert_null(event_worker(pool, &kind_a, false)); /* nor is it given anything */
    proc_signal(&w->proc, SIGCONT);
    rig_until(rig, event_tell(w, (struct slice){line, sizeof(line)}));
    rig_until(rig, event_worker(pool, &kind_a, false) == w);
    rig_free(rig);
}

static void who_is_held_is_not_read(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct worker_config config =
        rig_config("talks", "ready(features=['events'])\n"
                            "import threading\n"
                            "def talk():\n"
                            "    for n in range(1000):\n"
                            "        put('word %d' % n); sleep(0.01)\n"
                            "threading.Thread(target=talk, daemon=True).start()");
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1 && rig_wrote(rig, "word 2"));
    struct worker *w = rig_worker(pool, 0);
    event_hold(w);
    rig_linger(rig, 50);
    unsigned before = rig_times_wrote(rig, "word");
    rig_linger(rig, 200);
    assert_int_equal(rig_times_wrote(rig, "word"), before);
    event_release(w);
    rig_until(rig, rig_times_wrote(rig, "word") > before + 5); /* and nothing was lost */
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(a_seat_is_taken_once),
        cmocka_unit_test(alone_is_alone_until_it_is_over),
        cmocka_unit_test(what_it_may_have_begun_is_told_when_it_dies),
        cmocka_unit_test(a_stop_is_nobody_s_fault),
        cmocka_unit_test(a_time_may_be_renewed_and_ends),
        cmocka_unit_test(who_does_not_read_is_told_nothing_more),
        cmocka_unit_test(who_is_held_is_not_read),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
