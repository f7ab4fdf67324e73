#include <assert.h>

#include "bus/dead.h"
#include "bus/group_parts.h"

enum {
    WHY_MAX = 1024,
    ERROR_MAX = 512,
    /* Ten years: nobody means more, and sums of times stay far from their bounds. */
    DELAY_MAX_DAYS = 3653,
    DAY_MS = 86400000,
};

static const int64_t never = INT64_MAX; /* parked: not by time */

/* How an attempt ended that did not succeed. */
struct ending {
    struct failure why;
    uint64_t delay_ms; /* UINT64_MAX: the back-off */
    bool dead;
    bool crashed;
    bool in_company; /* others were lost with its worker, so it may be innocent */
};

/* ----------------------------------------------------------------- requests */

static struct settling *settling_new(struct entry *e)
{
    struct bus *bus = e->consumer->bus;
    struct settling *s;
    if (list_empty(&bus->spare_settlings)) {
        s = xmalloc(sizeof(*s));
    } else {
        s = list_first(&bus->spare_settlings, struct settling, node);
        list_del(&s->node);
        bus->spare_settling_count--;
    }
    memset(s, 0, sizeof(*s));
    s->entry = e;
    list_init(&s->node);
    return s;
}

static void release_outputs(struct settling *s)
{
    for (size_t i = 0; i < s->op.output_count; i++)
        message_release(s->op.outputs[i]);
    if (s->op.outputs != &s->one)
        xfree(s->op.outputs);
    s->op.outputs = NULL;
    s->op.output_count = 0;
}

static void settling_free(struct bus *bus, struct settling *s)
{
    release_outputs(s);
    xfree(s->why);
    if (bus->spare_settling_count >= GROUP_SPARE) {
        xfree(s);
        return;
    }
    list_push(&bus->spare_settlings, &s->node);
    bus->spare_settling_count++;
}

void settle_free_spare(struct bus *bus)
{
    while (!list_empty(&bus->spare_settlings)) {
        struct settling *s = list_first(&bus->spare_settlings, struct settling, node);
        list_del(&s->node);
        xfree(s);
    }
}

static void set_outputs(struct settling *s, struct message *const *outputs, size_t count)
{
    s->op.output_count = count;
    if (count == 1) {
        s->one = outputs[0];
        s->op.outputs = &s->one;
    } else if (count) {
        s->op.outputs = xmalloc(count * sizeof(*outputs));
        memcpy(s->op.outputs, outputs, count * sizeof(*outputs));
    }
    s->bytes = bus_bytes_of(outputs, count);
}

static void on_settled(struct op *op);

static void submit(struct settling *s)
{
    struct bus *bus = s->entry->consumer->bus;
    s->op.op.done = on_settled;
    bus_count_in(bus, s->bytes);
    engine_submit(bus->engine, &s->op.op);
}

static void begin(struct settling *s, enum settle_kind how)
{
    struct entry *e = s->entry;
    e->state = ENTRY_SETTLING;
    e->later = how == SETTLE_LATER;
    e->consumer->ops++;
    s->op.op.kind = OP_SETTLE;
    s->op.consumer = e->consumer->id;
    s->op.seq = e->seq;
    s->op.how = how;
    s->op.tries = e->tries;
    submit(s);
}

static void settle_done(struct entry *e, struct message *const *outputs, size_t count)
{
    struct settling *s = settling_new(e);
    set_outputs(s, outputs, count);
    begin(s, SETTLE_DONE);
}

void settle_done_silently(struct entry *e)
{
    settle_done(e, NULL, 0);
}

static void put_off(struct entry *e, uint64_t delay_ms, const struct failure *why)
{
    struct settling *s = settling_new(e);
    struct buf text = {0};
    delay_ms = MIN(delay_ms, (uint64_t)DELAY_MAX_DAYS * DAY_MS);
    e->due.at_ms = bus_clock_ms() + delay_ms;
    s->op.due_ms = bus_wall_ms() + (int64_t)delay_ms;
    buf_addf(&text, SLICE_FMT ": " SLICE_FMT, SLICE_ARG(why->name), SLICE_ARG(why->message));
    s->op.why.len = MIN(text.len, (size_t)WHY_MAX);
    s->op.why.ptr = s->why = buf_give(&text);
    begin(s, SETTLE_LATER);
    if (delay_ms >= e->consumer->bus->soon_ms)
        order_put_off(e);
}

void settle_park(struct entry *e)
{
    struct settling *s = settling_new(e);
    s->op.due_ms = never;
    e->due.at_ms = UINT64_MAX;
    begin(s, SETTLE_LATER);
}

/* --------------------------------------------------------------------- ends */

static void repeat(struct settling *s)
{
    struct bus *bus = s->entry->consumer->bus;
    uint64_t now = bus_clock_ms();
    list_add(&bus->repeats, &s->node);
    if (!bus->repeat_told_ms || now - bus->repeat_told_ms >= BUS_TELL_MS) {
        bus->repeat_told_ms = now;
        bus_tell(bus, LOG_ERROR,
                 "what group \"%s\" has done cannot be stored (%s): it is tried again",
                 s->entry->consumer->group->name,
                 s->op.op.status == ENGINE_FULL ? "a stream or the disk is full"
                                                : s->op.op.error);
    }
    IGNORE(bus_repeat_later(bus)); /* when that is does not matter here */
}

void settle_repeat(struct bus *bus)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &bus->repeats);
    while (!list_empty(&now)) {
        struct settling *s = list_first(&now, struct settling, node);
        list_del(&s->node);
        submit(s);
    }
}

/* Put off in the store: it comes back by its time, or by its turn. */
static void now_put_off(struct entry *e, int64_t due_ms)
{
    uint64_t at_ms = e->due.at_ms;
    entry_put_off(e);
    if (due_ms != never) {
        flow_wait(e, at_ms);
        return;
    }
    e->state = ENTRY_PARKED;
    if (order_is_first(e))
        flow_due(e);
}

/* What it has put out is lost with it unless it is stored by itself. */
static void keep_outputs(struct bus *bus, struct settling *s)
{
    if (!s->op.output_count)
        return;
    bus_publish_quietly(bus, s->op.outputs, s->op.output_count);
    if (s->op.outputs != &s->one)
        xfree(s->op.outputs);
    s->op.outputs = NULL;
    s->op.output_count = 0;
}

/* There is nobody to be told any more: its owner has done its part. */
static void conclude(struct settling *s)
{
    struct entry *e = s->entry;
    struct bus *bus = e->consumer->bus;
    enum engine_status status = s->op.op.status;
    if (status == ENGINE_INVALID)
        bus_tell(bus, LOG_ERROR, "message %llu of group \"%s\" cannot be settled: %s",
                 (unsigned long long)e->seq, e->consumer->group->name, s->op.op.error);
    if (status == ENGINE_UNKNOWN)
        keep_outputs(bus, s);
    e->state = e->state == ENTRY_VOID ? ENTRY_VOID : ENTRY_NEW;
    if (status == ENGINE_OK && s->op.how == SETTLE_LATER && e->state != ENTRY_VOID)
        now_put_off(e, s->op.due_ms);
    else if (e->state == ENTRY_VOID)
        xfree(e);
    else
        entry_forget(e);
}

static void on_settled(struct op *op)
{
    struct settling *s = container_of(op, struct settling, op.op);
    struct consumer *c = s->entry->consumer;
    struct bus *bus = c->bus;
    bool failed = op->status == ENGINE_BROKEN || op->status == ENGINE_FULL;
    bus_count_out(bus, s->bytes);
    if (failed && s->entry->state != ENTRY_VOID && !bus->closing) {
        repeat(s);
        return;
    }
    if (op->status == ENGINE_OK)
        bus->repeat_ms = 0;
    conclude(s);
    settling_free(bus, s);
    c->ops--;
    consumer_go_on(c);
    bus_close_when_idle(bus);
}

/* ----------------------------------------------------------------- verdicts */

static void note(struct entry *e, const char *error, bool dead)
{
    struct bus *bus = e->consumer->bus;
    struct group_numbers *n = &e->consumer->group->numbers;
    uint64_t ran_us = loop_clock_ns() / 1000 - e->began_us;
    if (!n->run_us) {
        n->run_us = xcalloc(1, sizeof(*n->run_us));
        n->wait_us = xcalloc(1, sizeof(*n->wait_us));
    }
    histogram_add(n->run_us, ran_us);
    histogram_add(n->wait_us, e->waited_ms * 1000);
    n->handled += !*error;
    n->failed += *error != 0;
    n->dead += dead;
    bus->observer->settled(bus->observer, &e->delivery, e->waited_ms, ran_us / 1000, error,
                           dead);
}

static void bury(struct entry *e, const struct ending *end)
{
    const struct dead_reason reason = {
        .group = group_name(e->consumer->group),
        .attempts = e->tries,
        .failed_ms = bus_wall_ms(),
        .name = end->why.name,
        .message = end->why.message,
        .stack = end->why.stack,
    };
    struct message *letter = dead_letter(e->delivery.message, &reason);
    settle_done(e, &letter, 1);
}

/* A worker's first death costs no time; what kills a second one does. */
static uint64_t delay_of(struct entry *e, const struct ending *end)
{
    const struct subscription *by = e->delivery.subscription;
    if (end->delay_ms != UINT64_MAX)
        return end->delay_ms;
    if (end->crashed && e->crashes == 1)
        return 0;
    return backoff_ms(by->backoff, by->backoff_count, e->tries, &e->consumer->bus->chance);
}

/*
 * One that was lost with others is counted like them, but it is no dead letter before it has
 * been tried alone: it may be innocent.
 */
static void fail(struct entry *e, const struct ending *end)
{
    char error[ERROR_MAX];
    bool was_alone = e->delivery.alone;
    e->tries++;
    if (end->crashed) {
        e->crashes++;
        e->suspect = true;
        e->consumer->group->numbers.crashed++;
    }
    bool spared = end->crashed && end->in_company && !was_alone;
    bool dead = end->dead || (e->tries >= e->delivery.subscription->attempts && !spared);
    snprintf(error, sizeof(error), SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(end->why.name),
             end->why.name.len && end->why.message.len ? ": " : "",
             SLICE_ARG(end->why.message));
    note(e, *error ? error : "it failed", dead);
    if (dead)
        bury(e, end);
    else
        put_off(e, delay_of(e, end), &end->why);
    terms_drop(e->terms);
    e->terms = NULL;
}

static struct failure *failure_copy(const struct settlement *s)
{
    struct slice parts[] = {s->error_name, s->error_message, s->error_stack};
    const size_t most[] = {DEAD_NAME_MAX, DEAD_MESSAGE_MAX, DEAD_STACK_MAX};
    size_t size = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i].len = MIN(parts[i].len, most[i]);
        size += parts[i].len;
    }
    struct failure *f = xmalloc(sizeof(*f) + size);
    char *at = (char *)(f + 1);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len)
            memcpy(at, parts[i].ptr, parts[i].len);
        parts[i].ptr = at;
        at += parts[i].len;
    }
    *f = (struct failure){parts[0], parts[1], parts[2]};
    return f;
}

void settle_crashed(struct bus *bus)
{
    bool company = !list_empty(&bus->crashed) && bus->crashed.next != bus->crashed.prev;
    while (!list_empty(&bus->crashed)) {
        struct entry *e = list_first(&bus->crashed, struct entry, node);
        struct failure *why = e->failure;
        struct ending end = {
            .why = *why, .delay_ms = e->delay_ms, .crashed = true, .in_company = company};
        list_del(&e->node);
        e->failure = NULL;
        fail(e, &end);
        xfree(why);
    }
}

static void release_unused(const struct settlement *s)
{
    for (size_t i = 0; i < s->output_count; i++)
        message_release(s->outputs[i]);
}

static void succeed(struct entry *e, const struct settlement *s)
{
    note(e, "", false);
    settle_done(e, s->outputs, s->output_count);
    terms_drop(e->terms);
    e->terms = NULL;
}

static void take_back(struct entry *e)
{
    terms_drop(e->terms);
    e->terms = NULL;
    entry_make_ready(e, true);
}

void bus_settle(struct delivery *d, const struct settlement *s)
{
    struct entry *e = container_of(d, struct entry, delivery);
    struct group *g = d->group;
    entry_leave_out(e);
    assert(s->output_count <= MESSAGE_OUTPUTS_MAX);
    if (s->verdict == VERDICT_DONE) {
        succeed(e, s);
    } else {
        release_unused(s);
        if (s->verdict == VERDICT_BACK) {
            take_back(e);
        } else if (s->crashed && s->verdict == VERDICT_RETRY) {
            e->state = ENTRY_CRASHED;
            e->failure = failure_copy(s);
            e->delay_ms = s->delay_ms;
            list_add(&g->bus->crashed, &e->node);
        } else {
            fail(e, &(struct ending){
                        .why = {s->error_name, s->error_message, s->error_stack},
                        .delay_ms = s->delay_ms,
                        .dead = s->verdict == VERDICT_DEAD,
                    });
        }
    }
    group_wake(g);
}
