#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine_suite_parts.h"
#include "folder.h"

#include <cmocka.h>

/* ------------------------------------------------------------ who gets what */

static void every_consumer_gets_everything_in_order(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint32_t b = desk_consumer(d, "events", "b", ">", FROM_FIRST, NULL);
    assert_int_not_equal(a, b);
    desk_credit(d, a, 1000);
    desk_credit(d, b, 1000);
    uint64_t seqs[100], last = 0;
    int64_t last_ms = 0;
    for (unsigned i = 0; i < 100; i++) {
        seqs[i] = desk_put(d, "events", "post.created", "{\"n\":1}");
        assert_true(seqs[i] > last);
        last = seqs[i];
    }
    for (unsigned i = 0; i < 100; i++) {
        struct delivery_note note = desk_next(d, a);
        assert_int_equal(note.message->seq, seqs[i]);
        assert_int_equal(note.tries, 0);
        assert_true(slice_is(note.message->data, "{\"n\":1}"));
        assert_true(slice_is(note.message->topic, "post.created"));
        assert_true(slice_is(note.message->stream, "events"));
        assert_true(note.message->time_ms >= last_ms);
        last_ms = note.message->time_ms;
        message_release(note.message);
        assert_int_equal(desk_next_seq(d, b), seqs[i]);
    }
    desk_quiet(d);
}

static void all_members_of_a_message_come_back(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    struct message_parts parts = {
        .stream = SLICE("events"),
        .topic = SLICE("post.created"),
        .key = SLICE("p\xc3\xa9 1"),
        .msgid = SLICE("m1"),
        .cause = SLICE("41"),
        .correlation = SLICE("7"),
        .traceparent = SLICE("00-aa-bb-01"),
        .headers = SLICE("{\"x\":\"y\"}"),
        .origin = SLICE("gateway"),
        .data = SLICE("{\"b\":1,\"a\":9007199254740993, \"u\":\"\\u0000\"}")};
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    if (seat->kind->durable)
        desk_reopen(d, seat->dir);
    if (seat->kind->durable) {
        desk_stream(d, "events");
        a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    }
    desk_credit(d, a, 1);
    struct delivery_note note = desk_next(d, a);
    const struct message *m = note.message;
    assert_true(slice_eq(m->topic, parts.topic) && slice_eq(m->key, parts.key));
    assert_true(slice_eq(m->msgid, parts.msgid) && slice_eq(m->cause, parts.cause));
    assert_true(slice_eq(m->correlation, parts.correlation));
    assert_true(slice_eq(m->traceparent, parts.traceparent));
    assert_true(slice_eq(m->headers, parts.headers) && slice_eq(m->origin, parts.origin));
    assert_true(slice_eq(m->data, parts.data));
    assert_int_equal(m->size, parts.data.len);
    message_release(note.message);
}

static void a_pattern_picks_topics_also_new_ones(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", "comment.* user.>", FROM_FIRST, NULL);
    desk_credit(d, a, 100);
    desk_put(d, "events", "post.created", "1");
    uint64_t one = desk_put(d, "events", "comment.created", "2");
    desk_put(d, "events", "comment.created.late", "3");
    uint64_t two = desk_put(d, "events", "user.a.b", "4");
    desk_put(d, "events", "user", "5");
    uint64_t three = desk_put(d, "events", "comment.x", "6");
    assert_int_equal(desk_next_seq(d, a), one);
    assert_int_equal(desk_next_seq(d, a), two);
    assert_int_equal(desk_next_seq(d, a), three);
    desk_quiet(d);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 3);
}

static void credit_is_kept_to(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t first = desk_put(d, "events", "t", "1");
    uint64_t second = desk_put(d, "events", "t", "2");
    uint64_t third = desk_put(d, "events", "t", "3");
    desk_quiet(d);
    desk_credit(d, a, 1);
    assert_int_equal(desk_next_seq(d, a), first);
    desk_quiet(d);
    desk_credit(d, a, 1);
    desk_credit(d, a, 1);
    assert_int_equal(desk_next_seq(d, a), second);
    assert_int_equal(desk_next_seq(d, a), third);
    desk_put(d, "events", "t", "4");
    desk_quiet(d);
}

static void a_consumer_begins_where_it_says(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint64_t first = desk_put(d, "events", "t", "1");
    uint64_t second = desk_put(d, "events", "t", "2");
    sleep_ms(20);
    int64_t then = wall_ms();
    sleep_ms(20);
    uint64_t third = desk_put(d, "events", "t", "3");
    uint32_t all = desk_consumer(d, "events", "all", ">", FROM_FIRST, NULL);
    uint32_t from_new = desk_consumer(d, "events", "new", ">", FROM_NEW, NULL);
    uint32_t by_seq =
        desk_consumer(d, "events", "seq", ">", (struct start){START_SEQ, second, 0}, NULL);
    uint32_t by_time =
        desk_consumer(d, "events", "time", ">", (struct start){START_TIME, 0, then}, NULL);
    const uint32_t ids[] = {all, from_new, by_seq, by_time};
    const uint64_t lags[] = {3, 0, 2, 1};
    for (unsigned i = 0; i < 4; i++) {
        if (d->kind->exact_lag)
            assert_int_equal(desk_consumer_info(d, ids[i]).lag, lags[i]);
        desk_credit(d, ids[i], 10);
    }
    assert_int_equal(desk_next_seq(d, all), first);
    assert_int_equal(desk_next_seq(d, by_seq), second);
    assert_int_equal(desk_next_seq(d, by_time), third);
    uint64_t fourth = desk_put(d, "events", "t", "4");
    assert_int_equal(desk_next_seq(d, from_new), fourth);
    assert_int_equal(desk_next_seq(d, by_time), fourth);
}

static void what_is_for_one_group_only_no_other_gets(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint32_t b = desk_consumer(d, "events", "b", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 10);
    desk_credit(d, b, 10);
    assert_int_equal(desk_publish(d, (struct message_parts){.stream = SLICE("events"),
                                                            .topic = SLICE("t"),
                                                            .only = SLICE("b"),
                                                            .data = SLICE("1")}),
                     ENGINE_OK);
    uint64_t only = d->last_seq;
    uint64_t both = desk_put(d, "events", "t", "2");
    assert_int_equal(desk_next_seq(d, a), both);
    assert_int_equal(desk_next_seq(d, b), only);
    assert_int_equal(desk_next_seq(d, b), both);
    if (d->kind->exact_lag) {
        assert_int_equal(desk_consumer_info(d, a).lag, 1);
        assert_int_equal(desk_consumer_info(d, b).lag, 2);
        assert_int_equal(desk_settle(d, b, only), ENGINE_OK);
        assert_int_equal(desk_consumer_info(d, b).lag, 1);
        uint32_t c = desk_consumer(d, "events", "c", ">", FROM_FIRST, NULL);
        assert_int_equal(desk_consumer_info(d, c).lag, 1);
    }
}

static void a_consumer_with_other_patterns_goes_on_where_it_was(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", "x", FROM_FIRST, NULL);
    desk_credit(d, a, 1);
    desk_put(d, "events", "y", "1");
    uint64_t x = desk_put(d, "events", "x", "2");
    desk_put(d, "events", "x", "3");
    uint64_t y = desk_put(d, "events", "y", "4");
    assert_int_equal(desk_next_seq(d, a), x);
    assert_int_equal(desk_consumer(d, "events", "a", "y", FROM_FIRST, NULL), a);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 2); /* x is open, y comes */
    desk_credit(d, a, 10);
    assert_int_equal(desk_next_seq(d, a), y);
    desk_quiet(d);
}

/* ------------------------------------------------------------------- settle */

static void unsettled_comes_again_after_a_restart_and_settled_does_not(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t seqs[10];
    for (unsigned i = 0; i < 10; i++)
        seqs[i] = desk_put(d, "events", "t", "1");
    desk_credit(d, a, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(desk_next_seq(d, a), seqs[i]);
    const unsigned settled[] = {1, 2, 4};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(desk_settle(d, a, seqs[settled[i]]), ENGINE_OK);
    desk_reopen(d, seat->dir);
    desk_stream(d, "events");
    struct op_consumer op;
    a = desk_consumer(d, "events", "a", ">", FROM_FIRST, &op);
    assert_false(op.created);
    assert_int_equal(op.put_off_count, 0);
    if (seat->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 7);
    desk_credit(d, a, 100);
    const unsigned left[] = {0, 3, 5, 6, 7, 8, 9};
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(desk_next_seq(d, a), seqs[left[i]]);
    desk_quiet(d);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(desk_settle(d, a, seqs[left[i]]), ENGINE_OK);
    if (seat->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 0);
    desk_reopen(d, seat->dir);
    a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 100);
    desk_quiet(d);
}

static void only_what_was_delivered_can_be_settled_and_once(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t seq = desk_put(d, "events", "t", "1");
    assert_int_equal(desk_settle(d, a, seq), ENGINE_UNKNOWN);
    desk_credit(d, a, 1);
    assert_int_equal(desk_next_seq(d, a), seq);
    assert_int_equal(desk_settle(d, a, seq + 1), ENGINE_UNKNOWN);
    assert_int_equal(desk_settle(d, a + 1000, seq), ENGINE_UNKNOWN);
    assert_int_equal(desk_settle(d, a, seq), ENGINE_OK);
    assert_int_equal(desk_settle(d, a, seq), ENGINE_UNKNOWN);
    assert_int_equal(desk_later(d, a, seq, 1, 0), ENGINE_UNKNOWN);
}

static void what_is_put_off_waits_until_it_is_taken(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    struct op_consumer op;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 100);
    assert_int_equal(desk_publish(d, (struct message_parts){.stream = SLICE("events"),
                                                            .topic = SLICE("t"),
                                                            .key = SLICE("k1"),
                                                            .data = SLICE("1")}),
                     ENGINE_OK);
    uint64_t one = d->last_seq, two = desk_put(d, "events", "t", "2");
    assert_int_equal(desk_next_seq(d, a), one);
    assert_int_equal(desk_next_seq(d, a), two);
    assert_int_equal(desk_later(d, a, one, 1, 12345), ENGINE_OK);
    assert_int_equal(desk_later(d, a, two, 3, INT64_MAX), ENGINE_OK);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        a = desk_consumer(d, "events", "a", ">", FROM_FIRST, &op);
        assert_int_equal(op.put_off_count, 2);
        assert_int_equal(op.put_off[0].seq, one);
        assert_int_equal(op.put_off[0].tries, 1);
        assert_int_equal(op.put_off[0].due_ms, 12345);
        assert_string_equal(op.put_off[0].key, "k1");
        assert_int_equal(op.put_off[1].seq, two);
        assert_true(op.put_off[1].due_ms == INT64_MAX);
        assert_null(op.put_off[1].key);
        desk_forget_put_off(&op);
        desk_credit(d, a, 100);
    }
    desk_quiet(d);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 2);
    assert_int_equal(desk_take(d, a, one), ENGINE_OK);
    struct delivery_note note = desk_next(d, a);
    assert_int_equal(note.message->seq, one);
    assert_int_equal(note.tries, 1);
    message_release(note.message);
    assert_int_equal(desk_later(d, a, one, 2, 777), ENGINE_OK);
    assert_int_equal(desk_take(d, a, one), ENGINE_OK);
    note = desk_next(d, a);
    assert_int_equal(note.tries, 2);
    message_release(note.message);
    assert_int_equal(desk_settle(d, a, one), ENGINE_OK);
    assert_int_equal(desk_take(d, a, one), ENGINE_UNKNOWN);
    desk_quiet(d);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 1);
}

static void outputs_are_stored_with_their_settle_or_not_at_all(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", "in", FROM_FIRST, NULL);
    desk_credit(d, a, 10);
    uint64_t seq = desk_put(d, "events", "in", "1");
    assert_int_equal(desk_next_seq(d, a), seq);
    struct message *outputs[2];
    outputs[0] = message_new(&(struct message_parts){
        .stream = SLICE("events"), .topic = SLICE("out"), .data = SLICE("2")});
    outputs[1] = message_new(&(struct message_parts){
        .stream = SLICE("nowhere"), .topic = SLICE("out"), .data = SLICE("3")});
    struct op_settle op = {.consumer = a, .seq = seq, .outputs = outputs, .output_count = 2};
    assert_int_equal(desk_do(d, &op.op, OP_SETTLE), ENGINE_UNKNOWN);
    assert_int_equal(desk_count(d, "events"), 1);
    op.output_count = 1;
    assert_int_equal(desk_do(d, &op.op, OP_SETTLE), ENGINE_OK);
    assert_true(outputs[0]->seq > seq);
    assert_int_equal(desk_count(d, "events"), 2);
    /* A late one of an attempt that is over brings nothing. */
    assert_int_equal(desk_do(d, &op.op, OP_SETTLE), ENGINE_UNKNOWN);
    assert_int_equal(desk_count(d, "events"), 2);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        assert_int_equal(desk_count(d, "events"), 2);
    }
    message_release(outputs[0]);
    message_release(outputs[1]);
}

static void all_messages_of_one_op_or_none(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    struct message *messages[MESSAGE_OUTPUTS_MAX];
    desk_stream(d, "events");
    for (unsigned i = 0; i < MESSAGE_OUTPUTS_MAX; i++)
        messages[i] = message_new(&(struct message_parts){
            .stream = i == MESSAGE_OUTPUTS_MAX - 1 ? SLICE("nowhere") : SLICE("events"),
            .topic = SLICE("t"),
            .data = SLICE("1")});
    struct op_publish op = {.messages = messages, .count = MESSAGE_OUTPUTS_MAX};
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_UNKNOWN);
    assert_true(strstr(d->error, "nowhere") != NULL);
    assert_int_equal(desk_count(d, "events"), 0);
    op.count--;
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_OK);
    for (unsigned i = 1; i < op.count; i++)
        assert_int_equal(messages[i]->seq, messages[i - 1]->seq + 1);
    for (unsigned i = 0; i < MESSAGE_OUTPUTS_MAX; i++)
        message_release(messages[i]);
}

static void what_is_forgotten_is_gone(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    desk_stream(d, "dead");
    uint32_t late = desk_consumer(d, "dead", "late", ">", FROM_FIRST, NULL);
    uint64_t seq = desk_put(d, "dead", "t", "1");
    struct message *again = message_new(&(struct message_parts){
        .stream = SLICE("events"), .topic = SLICE("t"), .data = SLICE("1")});
    struct op_publish op = {.messages = &again, .count = 1, .forget = seq};
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_OK);
    assert_int_equal(desk_count(d, "dead"), 0);
    assert_int_equal(desk_count(d, "events"), 1);
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_UNKNOWN);
    assert_int_equal(desk_count(d, "events"), 1);
    message_release(again);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, late).lag, 0);
    desk_credit(d, late, 10);
    desk_quiet(d);
    uint64_t other = desk_put(d, "dead", "t", "2");
    op = (struct op_publish){.forget = other};
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_OK);
    assert_int_equal(desk_count(d, "dead"), 0);
}

static void a_seek_begins_a_new_epoch(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t seqs[5];
    for (unsigned i = 0; i < 5; i++)
        seqs[i] = desk_put(d, "events", "t", "1");
    desk_credit(d, a, 5);
    struct delivery_note note = {0};
    for (unsigned i = 0; i < 5; i++) {
        note = desk_next(d, a);
        message_release(note.message);
    }
    assert_int_equal(desk_settle(d, a, seqs[0]), ENGINE_OK);
    assert_int_equal(desk_later(d, a, seqs[1], 1, 0), ENGINE_OK);
    uint32_t epoch = desk_seek(d, a, (struct start){START_SEQ, seqs[3], 0});
    assert_true(epoch != note.epoch);
    assert_int_equal(desk_settle(d, a, seqs[2]), ENGINE_UNKNOWN);
    assert_int_equal(desk_take(d, a, seqs[1]), ENGINE_UNKNOWN);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 2);
    desk_credit(d, a, 10);
    for (unsigned i = 3; i < 5; i++) {
        note = desk_next(d, a);
        assert_int_equal(note.message->seq, seqs[i]);
        assert_int_equal(note.epoch, epoch);
        message_release(note.message);
    }
    desk_quiet(d);
    desk_seek(d, a, FROM_FIRST);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 5);
    assert_int_equal(desk_next_seq(d, a), seqs[0]); /* the credit that was left */
    desk_seek(d, a, FROM_NEW);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 0);
}

static void a_consumer_that_is_dropped_is_forgotten(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t seq = desk_put(d, "events", "t", "1");
    desk_credit(d, a, 1);
    assert_int_equal(desk_next_seq(d, a), seq);
    assert_int_equal(desk_later(d, a, seq, 1, 1), ENGINE_OK);
    struct op_drop op = {.consumer = a};
    assert_int_equal(desk_do(d, &op.op, OP_DROP), ENGINE_OK);
    assert_int_equal(desk_do(d, &op.op, OP_DROP), ENGINE_UNKNOWN);
    assert_int_equal(desk_settle(d, a, seq), ENGINE_UNKNOWN);
    struct op_consumer made;
    uint32_t anew = desk_consumer(d, "events", "a", ">", FROM_FIRST, &made);
    assert_true(made.created);
    assert_int_equal(made.put_off_count, 0);
    assert_int_not_equal(anew, a);
    desk_credit(d, anew, 1);
    assert_int_equal(desk_next_seq(d, anew), seq);
    op = (struct op_drop){.stream = SLICE("events")};
    assert_int_equal(desk_do(d, &op.op, OP_DROP), ENGINE_OK);
    assert_int_equal(desk_publish(d, (struct message_parts){.stream = SLICE("events"),
                                                            .topic = SLICE("t"),
                                                            .data = SLICE("1")}),
                     ENGINE_UNKNOWN);
    desk_stream(d, "events");
    assert_int_equal(desk_count(d, "events"), 0);
    assert_true(desk_put(d, "events", "t", "1") > seq); /* a number is never given again */
}

/* -------------------------------------------------------------------- frame */

static const struct engine_kind *kind_of(void **state)
{
    return *state;
}

static int set_up(void **state)
{
    struct seat *seat = xcalloc(1, sizeof(*seat));
    void *folder;
    seat->kind = kind_of(state);
    if (folder_enter(&folder))
        return -1;
    seat->folder = folder;
    seat->dir = xasprintf("%s/bus", seat->folder);
    desk_open(&seat->desk, seat->kind, seat->dir);
    *state = seat;
    return 0;
}

static int tear_down(void **state)
{
    struct seat *seat = *state;
    void *folder = seat->folder;
    desk_close(&seat->desk);
    xfree(seat->dir);
    xfree(seat);
    return folder_leave(&folder);
}

struct check {
    struct CMUnitTest test;
    const char *needs; /* or NULL */
    bool has;
};

#define CHECK_OF(function, needs, has)                                                         \
    {                                                                                          \
        {#function, function, set_up, tear_down, (void *)kind}, needs, has                     \
    }
#define CHECK(function)             CHECK_OF(function, NULL, true)
#define CHECK_IF(ability, function) CHECK_OF(function, #ability, kind->ability)

/* What is left out is said: a suite that is green because it is empty shows nothing. */
static void tell_parts(const struct engine_kind *kind)
{
    if (!kind->durable)
        print_message("%s is not durable: what there is after a restart is left out\n",
                      kind->name);
    if (!kind->exact_lag)
        print_message("%s has no exact_lag: what groups lack is left out\n", kind->name);
}

static size_t choose(const struct engine_kind *kind, const struct check *checks, size_t count,
                     struct CMUnitTest *chosen)
{
    size_t n = 0;
    tell_parts(kind);
    for (size_t i = 0; i < count; i++) {
        if (checks[i].has)
            chosen[n++] = checks[i].test;
        else
            print_message("%s has no %s: %s is left out\n", kind->name, checks[i].needs,
                          checks[i].test.name);
    }
    print_message("%s: %zu of %zu checks\n", kind->name, n, count);
    return n;
}

int engine_suite_run(const struct engine_kind *kind)
{
    const struct check checks[] = {
        CHECK(every_consumer_gets_everything_in_order),
        CHECK(all_members_of_a_message_come_back),
        CHECK(a_pattern_picks_topics_also_new_ones),
        CHECK(credit_is_kept_to),
        CHECK(a_consumer_begins_where_it_says),
        CHECK(what_is_for_one_group_only_no_other_gets),
        CHECK(a_consumer_with_other_patterns_goes_on_where_it_was),
        CHECK_IF(durable, unsettled_comes_again_after_a_restart_and_settled_does_not),
        CHECK(only_what_was_delivered_can_be_settled_and_once),
        CHECK(what_is_put_off_waits_until_it_is_taken),
        CHECK_IF(atomic_outputs, outputs_are_stored_with_their_settle_or_not_at_all),
        CHECK(all_messages_of_one_op_or_none),
        CHECK(what_is_forgotten_is_gone),
        CHECK_IF(replay, a_seek_begins_a_new_epoch),
        CHECK(a_consumer_that_is_dropped_is_forgotten),
        CHECK(a_job_is_deleted_with_its_last_settle),
        CHECK_IF(bounded, a_full_stream_refuses_and_loses_nothing),
        CHECK_IF(gaps, discarding_is_told_as_a_gap),
        CHECK_IF(dedupe, a_msgid_is_stored_once_within_its_window),
        CHECK_IF(dedupe, the_same_msgid_twice_in_one_op_is_one_message),
        CHECK_IF(delay, a_delayed_message_comes_never_early_and_once),
        CHECK_IF(blobs, big_data_has_a_file_for_as_long_as_its_message),
        CHECK(reading_needs_no_consumer),
        CHECK(what_is_stored_is_told_once_and_in_order),
        CHECK(a_stream_in_memory_ends_with_the_engine),
        CHECK(what_was_submitted_ends_although_it_closes),
    };
    struct CMUnitTest chosen[ARRAY_LEN(checks)];
    size_t n = choose(kind, checks, ARRAY_LEN(checks), chosen);
    return _cmocka_run_group_tests(kind->name, chosen, n, NULL, NULL);
}
