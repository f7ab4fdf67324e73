#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bus/dead.h"
#include "bus/group_parts.h"
#include "bus_rig.h"

#include <cmocka.h>

enum { FAR_MS = 150 };

static const char *const all[] = {"a.>", NULL};
static const uint64_t quick[] = {1};
static const uint64_t slow[] = {60000};
static const struct subscription three = {.attempts = 3, .backoff = quick, .backoff_count = 1};
static const struct subscription patient = {.attempts = 3, .backoff = slow, .backoff_count = 1};

static struct bus_rig *rig;
static struct rig_owner one, two;

static int open_rig(void **state)
{
    (void)state;
    rig = xcalloc(1, sizeof(*rig));
    one = two = (struct rig_owner){0};
    bus_rig_open(rig);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_give_all_back(&one);
    rig_give_all_back(&two);
    bus_rig_close(rig);
    xfree(rig);
    return 0;
}

static void crash_all(struct rig_owner *o)
{
    while (rig_first(o))
        rig_settle(rig_first(o), &(struct settlement){.verdict = VERDICT_RETRY,
                                                      .delay_ms = UINT64_MAX,
                                                      .error_name = SLICE("WorkerExit"),
                                                      .crashed = true});
}

/* ------------------------------------------------------------------ deliver */

static void each_group_gets_each_message_and_no_other(void **state)
{
    static const char *const some[] = {"a.x", "c", NULL};
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_group(rig, &two, "two", some, NULL);
    bus_rig_publish_all(rig, 3, "");
    assert_true(bus_rig_publish(rig, "c", "", "1") > 0);
    assert_true(bus_rig_publish(rig, "d", "", "1") > 0);
    bus_until(rig, one.held_count == 3 && two.held_count == 1);
    bus_rig_linger(rig, 5);
    assert_int_equal(one.delivered + two.delivered, 4);
    assert_int_equal(rig_first_seq(&one), 1);
    assert_int_equal(rig_first(&one)->delivery->attempt, 1);
    assert_false(rig_first(&one)->delivery->last);
}

static void no_more_are_out_than_its_owner_takes(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    group_serve(one.group, one.group->ops, &one, 2);
    bus_rig_publish_all(rig, 5, "");
    bus_until(rig, one.held_count == 2);
    bus_rig_linger(rig, 5);
    assert_int_equal(one.held_count, 2);
    assert_int_equal(group_backlog(one.group), 5);
    rig_done(&one);
    bus_until(rig, one.held_count == 2 && rig_first_seq(&one) == 2);
}

static size_t asked;

static bool refuse(struct group *g, struct delivery *d)
{
    (void)g, (void)d;
    asked++;
    return false;
}

static void who_refuses_is_asked_again_when_it_says_so_and_not_before(void **state)
{
    static const struct group_ops refusing = {.deliver = refuse};
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    const struct group_ops *usual = one.group->ops;
    group_serve(one.group, &refusing, &one, 100);
    asked = 0;
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, asked == 1);
    bus_rig_linger(rig, 20);
    assert_in_range(asked, 1, 3); /* other ends of ops may wake it, nothing else */
    group_serve(one.group, usual, &one, 100);
    group_resume(one.group);
    bus_until(rig, one.held_count == 1);
}

static void a_group_with_much_to_do_leaves_turns_to_others(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    one.room = 1;
    bus_rig_publish_all(rig, 600, "");
    bus_until(rig, group_backlog(one.group) == 600);
    one.room = 0;
    one.settles = true;
    size_t before = one.delivered;
    group_resume(one.group);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    assert_in_range(one.delivered - before, 1, 2 * GROUP_TURN);
    bus_until(rig, one.delivered == 600);
}

static void backlog_is_what_is_not_settled_and_changes_are_told(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    rig->bus->window = 4;
    bus_rig_publish_all(rig, 30, "");
    bus_until(rig, one.held_count == 4);
    bus_until(rig, group_backlog(one.group) == 30); /* of what the engine has it is told late */
    assert_true(one.changed > 0);
    one.settles = true;
    while (rig_first(&one))
        rig_done(&one);
    bus_until(rig, group_backlog(one.group) == 0);
}

static void patterns_of_several_streams_are_one_group(void **state)
{
    static const char *const topics[] = {"own.>", NULL};
    static const char *const both[] = {"own.x", "a.*", NULL};
    struct stream_config own = {.name = "own", .topics = {(const char **)topics, 1}};
    (void)state;
    rig->config->streams = &own;
    rig->config->stream_count = 1;
    bus_configure(rig->bus, rig->config);
    bus_rig_group(rig, &one, "one", both, NULL);
    assert_true(bus_rig_publish(rig, "own.x", "", "1") > 0);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 2);
    assert_int_equal(memory_count(rig->store, SLICE("own")), 1);
    assert_int_equal(memory_count(rig->store, SLICE("events")), 1);
    assert_int_equal(list_count(&one.group->consumers), 2);
    rig_give_all_back(&one);
    bus_rig_close_bus(rig);
    rig->config->stream_count = 0;
    bus_rig_open_bus(rig);
}

static void a_topic_that_gets_its_own_stream_is_not_lost_to_a_group(void **state)
{
    static const char *const topics[] = {"a.b", NULL};
    struct stream_config own = {.name = "own", .topics = {(const char **)topics, 1}};
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    rig->config->streams = &own;
    rig->config->stream_count = 1;
    bus_configure(rig->bus, rig->config);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
    assert_int_equal(memory_count(rig->store, SLICE("own")), 1);
    rig->config->stream_count = 0;
    bus_configure(rig->bus, rig->config);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 2);
    assert_int_equal(memory_count(rig->store, SLICE("events")), 1);
}

static void a_job_waits_for_whoever_comes_and_goes_when_it_is_done(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(bus_rig_request(rig, &(struct publish_request){.queue = SLICE("thumb"),
                                                                   .data = SLICE("1")}) > 0);
    bus_rig_queue(rig, &one, "thumb", NULL);
    bus_rig_group(rig, &two, "thumb", all, NULL); /* of topics: another group */
    bus_until(rig, one.held_count == 3);
    assert_int_equal(two.delivered, 0);
    assert_ptr_equal(bus_find_group(rig->bus, SLICE("thumb")), two.group);
    assert_ptr_equal(bus_find_group(rig->bus, SLICE("queue.thumb")), one.group);
    rig_done(&one);
    bus_until(rig, memory_count(rig->store, SLICE("queue.thumb")) == 2);
}

static void what_it_subscribes_to_may_change(void **state)
{
    static const char *const others[] = {"z.*", "a.c", NULL};
    struct group *before;
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    before = one.group;
    one.room = 1;
    bus_rig_publish_all(rig, 2, "");
    bus_until(rig, one.held_count == 1 && group_backlog(one.group) == 2);
    bus_rig_group(rig, &one, "one", others, NULL);
    assert_ptr_equal(before, one.group);
    one.room = 0;
    assert_true(bus_rig_publish(rig, "z.z", "", "1") > 0);
    bus_until(rig, one.held_count == 2); /* the second one of old it does not want any more */
    rig_done(&one);
    rig_done(&one);
    bus_until(rig, group_backlog(one.group) == 0);
    assert_true(memory_is_settled(rig->store, "events", "one", 2));
}

/* ----------------------------------------------------------------- verdicts */

static void a_message_is_tried_again_and_then_it_is_a_dead_letter(void **state)
{
    struct dead_letter letter;
    (void)state;
    bus_rig_group(rig, &one, "one", all, &three);
    assert_true(bus_rig_request(rig, &(struct publish_request){
                                         .topic = SLICE("a.b"),
                                         .key = SLICE("k"),
                                         .headers = SLICE("{\"x\":\"y\"}"),
                                         .data = SLICE("{\"n\": 9007199254740993}"),
                                     }) == 1);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first(&one)->delivery->attempt, attempt);
        assert_int_equal(rig_first(&one)->delivery->last, attempt == 3);
        rig_fail(&one, UINT64_MAX);
    }
    bus_until(rig, memory_count(rig->store, SLICE("dead")) == 1);
    assert_true(memory_is_settled(rig->store, "events", "one", 1));
    assert_int_equal(rig->settled_count, 3);
    assert_int_equal(rig->dead_count, 1);
    assert_string_equal(rig->last_error, "Oops: it went wrong");
    const struct message *m = memory_find(rig->store, 2);
    assert_true(slice_is(m->topic, "a.b") && slice_is(m->key, "k"));
    assert_true(slice_is(m->data, "{\"n\": 9007199254740993}"));
    assert_true(slice_is(m->cause, "1") && slice_is(m->correlation, "1"));
    assert_true(slice_starts(m->headers, SLICE("{\"x\":\"y\",\"nodey-dead\":{")));
    assert_true(dead_read(m, &letter));
    assert_true(slice_is(letter.group.raw, "\"one\""));
    assert_true(slice_is(letter.stream.raw, "\"events\""));
    assert_int_equal(letter.seq, 1);
    assert_int_equal(letter.attempts, 3);
    assert_true(letter.failed_ms >= letter.time_ms && letter.time_ms > 0);
    assert_true(slice_is(letter.error.raw, "{\"name\":\"Oops\",\"message\":\"it went wrong\","
                                           "\"stack\":\"at line 1\"}"));
}

static void who_says_that_it_never_will_is_believed(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
    rig_settle(rig_first(&one),
               &(struct settlement){.verdict = VERDICT_DEAD, .error_message = SLICE("bad")});
    bus_until(rig, memory_count(rig->store, SLICE("dead")) == 1);
    assert_string_equal(rig->last_error, "bad");
    assert_int_equal(rig->dead_count, 1);
}

static void what_was_not_begun_comes_back_first_and_is_not_counted(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    one.room = 1;
    bus_rig_publish_all(rig, 3, "");
    bus_until(rig, one.held_count == 1 && group_backlog(one.group) == 3);
    for (int i = 0; i < 5; i++) {
        rig_settle(rig_first(&one), &(struct settlement){.verdict = VERDICT_BACK});
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first_seq(&one), 1);
        assert_int_equal(rig_first(&one)->delivery->attempt, 1);
    }
    assert_int_equal(memory_ops(rig->store, OP_SETTLE), 0);
}

static void a_delay_is_as_long_as_it_was_said(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    bus_rig_publish_all(rig, 2, "");
    bus_until(rig, one.held_count == 2);
    uint64_t before = bus_clock_ms();
    rig_fail(&one, 60);
    rig_fail(&one, 20);
    bus_until(rig, one.held_count == 1);
    assert_in_range(bus_clock_ms() - before, 20, 55);
    assert_int_equal(rig_first_seq(&one), 2);
    bus_until(rig, one.held_count == 2);
    assert_true(bus_clock_ms() - before >= 60);
}

static void outputs_are_stored_with_the_ack_or_not_at_all(void **state)
{
    struct err err;
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
    struct message *out[2];
    for (int i = 0; i < 2; i++)
        out[i] = bus_compose(rig->bus,
                             &(struct publish_request){.topic = SLICE("out"),
                                                       .data = SLICE("1"),
                                                       .handling = rig_first(&one)->delivery},
                             &err);
    memory_store_fail(rig->store, 2, ENGINE_FULL);
    rig->bus->repeat_first_ms = 5;
    rig_settle(
        rig_first(&one),
        &(struct settlement){.verdict = VERDICT_DONE, .outputs = out, .output_count = 2});
    bus_until(rig, memory_ops(rig->store, OP_SETTLE) == 1);
    assert_false(memory_is_settled(rig->store, "events", "one", 1));
    assert_int_equal(memory_last(rig->store), 1);
    bus_until(rig, memory_is_settled(rig->store, "events", "one", 1));
    assert_int_equal(memory_last(rig->store), 3);
    assert_int_equal(memory_ops(rig->store, OP_SETTLE), 3);
    assert_int_equal(one.delivered, 1); /* what was done is not done again */
    assert_true(bus_rig_told(rig, "is tried again"));
}

static void outputs_of_what_was_removed_meanwhile_are_kept(void **state)
{
    struct err err;
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
    struct message *out =
        bus_compose(rig->bus, &(struct publish_request){.topic = SLICE("out")}, &err);
    memory_store_discard(rig->store, 1);
    rig_settle(
        rig_first(&one),
        &(struct settlement){.verdict = VERDICT_DONE, .outputs = &out, .output_count = 1});
    bus_until(rig, memory_last(rig->store) == 2);
    bus_until(rig, group_backlog(one.group) == 0);
}

/* ---------------------------------------------------------------- keys */

static void behind_one_that_is_put_off_its_key_waits_and_nobody_else(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    rig->bus->window = 4;
    rig->bus->soon_ms = 10;
    bus_rig_publish_all(rig, 1, "k");
    bus_until(rig, one.held_count == 1);
    rig_fail(&one, FAR_MS);
    bus_rig_publish_all(rig, 8, "k"); /* more than the window has */
    bus_rig_publish_all(rig, 2, "other");
    bus_until(rig, one.held_count == 1);
    assert_int_equal(rig_first_seq(&one), 10);
    bus_until(rig, memory_put_off(rig->store, "events", "one") == 9);
    rig_done(&one);
    bus_until(rig, one.held_count == 1 && rig_first_seq(&one) == 11);
    rig_done(&one);
    for (uint64_t seq = 1; seq <= 9; seq++) {
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first_seq(&one), seq);
        assert_int_equal(rig_first(&one)->delivery->attempt, seq == 1 ? 2 : 1);
        rig_done(&one);
    }
    bus_until(rig, memory_put_off(rig->store, "events", "one") == 0);
    assert_int_equal(group_backlog(one.group), 0);
}

static void order_and_attempts_outlive_nodey(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    rig->bus->soon_ms = 10;
    bus_rig_publish_all(rig, 3, "k");
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 2);
    rig_fail(&one, FAR_MS);
    rig_fail(&one, 1);
    bus_until(rig, memory_put_off(rig->store, "events", "one") >= 3);
    rig_give_all_back(&one);
    bus_rig_reopen(rig);
    bus_rig_publish_all(rig, 1, "k");
    bus_rig_group(rig, &one, "one", all, &patient);
    bus_until(rig, one.held_count == 1);
    assert_int_equal(rig_first_seq(&one), 4); /* its time had come */
    assert_int_equal(rig_first(&one)->delivery->attempt, 2);
    rig_done(&one);
    static const uint64_t order[] = {1, 2, 3, 5};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first_seq(&one), order[i]);
        assert_int_equal(rig_first(&one)->delivery->attempt, i == 0 ? 2 : 1);
        rig_done(&one);
    }
}

static void a_key_with_much_to_do_leaves_room_for_others(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    rig->bus->window = 8;
    bus_rig_publish_all(rig, 40, "hot");
    bus_rig_publish_all(rig, 3, "cold");
    bus_until(rig, one.held_count == 2);
    assert_int_equal(rig_first_seq(&one), 1);
    assert_true(
        slice_is(list_last(&one.held, struct held, node)->delivery->message->key, "cold"));
    /* Those of the hot one that are parked come in order, also in the next run. */
    for (uint64_t seq = 1; seq <= 20; seq++) {
        bus_until(rig, rig_first_seq(&one) == seq || one.held_count == 2);
        struct held *h = rig_first(&one);
        while (slice_is(h->delivery->message->key, "cold"))
            h = list_first(&h->node, struct held, node);
        assert_int_equal(h->delivery->message->seq, seq);
        rig_settle(h, &(struct settlement){.verdict = VERDICT_DONE});
        bus_until(rig, memory_is_settled(rig->store, "events", "one", seq));
    }
    rig_give_all_back(&one);
    bus_rig_reopen(rig);
    rig->bus->window = 8;
    bus_rig_group(rig, &one, "one", all, NULL);
    uint64_t next_hot = 21, next_cold = 41;
    while (next_hot <= 40 || next_cold <= 43) {
        bus_until(rig, one.held_count > 0);
        bool hot = slice_is(rig_first(&one)->delivery->message->key, "hot");
        assert_int_equal(rig_first_seq(&one), hot ? next_hot++ : next_cold++);
        rig_done(&one);
    }
}

static void so_many_are_put_off_and_no_more(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    rig->bus->window = 4;
    rig->bus->put_off_max = 10;
    bus_rig_publish_all(rig, 40, "");
    for (int i = 0; i < 10; i++) {
        bus_until(rig, one.held_count > 0);
        rig_fail(&one, 300);
    }
    bus_until(rig, bus_rig_told(rig, "has put off 10 messages"));
    size_t told = rig->told_count;
    bus_rig_linger(rig, 20);
    assert_in_range(one.delivered, 10, 14);
    assert_int_equal(rig->told_count, told);
    one.settles = true;
    while (rig_first(&one))
        rig_done(&one);
    bus_until(rig, group_backlog(one.group) == 0 && one.delivered == 50);
}

/* ------------------------------------------------------------------ suspects */

static void neighbours_of_a_guilty_one_go_free(void **state)
{
    const struct subscription once = {.attempts = 1, .backoff = quick, .backoff_count = 1};
    size_t alone = 0;
    (void)state;
    bus_rig_group(rig, &one, "one", all, &once);
    bus_rig_publish_all(rig, 5, "");
    bus_until(rig, one.held_count == 5);
    crash_all(&one); /* for each it was the last attempt */
    while (alone < 5) {
        bus_until(rig, one.held_count > 0);
        bus_rig_linger(rig, 5);
        assert_int_equal(one.held_count, 1);
        assert_true(rig_first(&one)->delivery->alone);
        alone++;
        if (rig_first_seq(&one) == 3)
            crash_all(&one);
        else
            rig_done(&one);
    }
    bus_until(rig, group_backlog(one.group) == 0);
    assert_int_equal(memory_count(rig->store, SLICE("dead")), 1);
    assert_int_equal(rig->dead_count, 1);
    assert_int_equal(memory_find(rig->store, memory_last(rig->store))->cause.ptr[0], '3');
}

static void others_go_on_beside_a_suspect(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 2, "");
    bus_until(rig, one.held_count == 2);
    crash_all(&one);
    bus_until(rig, one.held_count == 1 && rig_first(&one)->delivery->alone);
    bus_rig_publish_all(rig, 2, "");
    bus_until(rig, one.held_count == 3);
    size_t alone = 0;
    list_each (at, &one.held)
        alone += container_of(at, struct held, node)->delivery->alone;
    assert_int_equal(alone, 1);
}

static void the_first_crash_costs_no_time_and_the_second_does(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
    uint64_t before = bus_clock_ms();
    crash_all(&one);
    bus_until(rig, one.held_count == 1);
    assert_true(bus_clock_ms() - before < 50);
    assert_int_equal(rig_first(&one)->delivery->attempt, 2);
    crash_all(&one);
    bus_rig_linger(rig, 100);
    assert_int_equal(one.held_count, 0);
    assert_int_equal(memory_put_off(rig->store, "events", "one"), 1);
}

/* ------------------------------------------------------------------- faults */

static void a_store_that_fails_for_a_while_loses_nothing(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &three);
    rig->bus->repeat_first_ms = 2;
    bus_rig_publish_all(rig, 6, "k");
    for (uint64_t seq = 1; seq <= 6; seq++) {
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first_seq(&one), seq);
        memory_store_fail(rig->store, 3, ENGINE_BROKEN);
        if (seq == 3) {
            rig_fail(&one, UINT64_MAX);
            bus_until(rig, one.held_count == 1);
            assert_int_equal(rig_first_seq(&one), 3);
        }
        rig_done(&one);
    }
    bus_until(rig, group_backlog(one.group) == 0);
    assert_int_equal(one.delivered, 7);
}

static void closing_waits_for_what_is_out(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 4, "");
    bus_until(rig, one.held_count == 4);
    bus_close(rig->bus);
    bus_rig_linger(rig, 10);
    assert_false(rig->closed);
    rig_done(&one);
    rig_fail(&one, UINT64_MAX);
    crash_all(&one);
    bus_until(rig, rig->closed);
    assert_true(memory_is_settled(rig->store, "events", "one", 1));
    assert_int_equal(memory_put_off(rig->store, "events", "one"), 3);
    bus_free(rig->bus);
    bus_rig_open_bus(rig);
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_until(rig, one.held_count == 3);
    assert_int_equal(rig_first(&one)->delivery->attempt, 2);
}

static void a_group_that_cannot_be_is_told(void **state)
{
    struct err err;
    struct subscription sub = {.pattern = SLICE("a..b"), .attempts = 1};
    struct group_config cfg = {
        .name = SLICE("g"), .subscriptions = &sub, .subscription_count = 1};
    (void)state;
    assert_null(bus_group(rig->bus, &cfg, &err));
    assert_non_null(strstr(err.text, "two in a row"));
    sub.pattern = SLICE("a.b");
    sub.attempts = 0;
    assert_null(bus_group(rig->bus, &cfg, &err));
    assert_non_null(strstr(err.text, "attempts"));
    sub.attempts = 1;
    cfg.name = SLICE("a\nb");
    assert_null(bus_group(rig->bus, &cfg, &err));
    cfg.name = SLICE("");
    assert_null(bus_group(rig->bus, &cfg, &err));
    cfg.name = SLICE("g");
    cfg.stream = SLICE("nowhere");
    assert_null(bus_group(rig->bus, &cfg, &err));
    assert_non_null(strstr(err.text, "no stream \"nowhere\""));
    assert_true(list_empty(&rig->bus->groups));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_group_gets_each_message_and_no_other),
        TEST(no_more_are_out_than_its_owner_takes),
        TEST(who_refuses_is_asked_again_when_it_says_so_and_not_before),
        TEST(a_group_with_much_to_do_leaves_turns_to_others),
        TEST(backlog_is_what_is_not_settled_and_changes_are_told),
        TEST(patterns_of_several_streams_are_one_group),
        TEST(a_topic_that_gets_its_own_stream_is_not_lost_to_a_group),
        TEST(a_job_waits_for_whoever_comes_and_goes_when_it_is_done),
        TEST(what_it_subscribes_to_may_change),
        TEST(a_message_is_tried_again_and_then_it_is_a_dead_letter),
        TEST(who_says_that_it_never_will_is_believed),
        TEST(what_was_not_begun_comes_back_first_and_is_not_counted),
        TEST(a_delay_is_as_long_as_it_was_said),
        TEST(outputs_are_stored_with_the_ack_or_not_at_all),
        TEST(outputs_of_what_was_removed_meanwhile_are_kept),
        TEST(behind_one_that_is_put_off_its_key_waits_and_nobody_else),
        TEST(order_and_attempts_outlive_nodey),
        TEST(a_key_with_much_to_do_leaves_room_for_others),
        TEST(so_many_are_put_off_and_no_more),
        TEST(neighbours_of_a_guilty_one_go_free),
        TEST(others_go_on_beside_a_suspect),
        TEST(the_first_crash_costs_no_time_and_the_second_does),
        TEST(a_store_that_fails_for_a_while_loses_nothing),
        TEST(closing_waits_for_what_is_out),
        TEST(a_group_that_cannot_be_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
