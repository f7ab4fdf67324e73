#include <assert.h>

#include "bus/group_parts.h"

enum {
    FIRST_MEAN_BYTES = 65536, /* until the first message has come */
    LEAST_MEAN_BYTES = 256,
    TURN_DUE = 1024, /* put off before, and due, in one turn */
};

/* ----------------------------------------------------------------- arrivals */

static struct entry *taken_back(struct consumer *c, const struct delivery_note *note)
{
    struct entry *e = idmap_get(&c->put_off, note->message->seq);
    if (!e || e->state != ENTRY_TAKING)
        return e; /* nobody asked for it: it stays where it is */
    idmap_remove(&c->put_off, e->seq);
    e->indexed = false;
    list_del(&e->node);
    e->since_ms = bus_wall_ms();
    return e;
}

static struct entry *come_new(struct consumer *c, const struct delivery_note *note)
{
    struct entry *e = entry_new(c, note->message->seq);
    e->in_window = true;
    c->window++;
    c->credit -= c->credit > 0;
    c->unread -= c->unread > 0;
    c->replay -= c->replay > 0;
    e->since_ms = note->message->time_ms;
    return e;
}

static void arrive(struct consumer *c, const struct delivery_note *note)
{
    struct entry *e = c->put_off.count ? taken_back(c, note) : NULL;
    if (e && e->state != ENTRY_TAKING) {
        message_release(note->message);
        return;
    }
    if (!e)
        e = come_new(c, note);
    e->tries = MAX(e->tries, note->tries);
    entry_set_message(e, note->message);
    order_join(e, note->message->key);
    entry_place(e);
}

/*
 * What a seek has left behind, or belonged to a group that was dropped.  When the bus closes
 * nobody begins with anything: it comes again in the next run.
 */
static void leave(struct consumer *c, const struct delivery_note *note)
{
    if (c)
        c->credit -= c->credit > 0;
    message_release(note->message);
}

void flow_deliver(struct bus *bus, const struct delivery_note *notes, size_t count)
{
    struct consumer *c = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct delivery_note *note = &notes[i];
        if (!c || c->id != note->consumer)
            c = idmap_get(&bus->consumers, note->consumer);
        if (!c || bus->closing || note->epoch != c->epoch) {
            leave(c, note);
            continue;
        }
        arrive(c, note);
        group_wake(c->group);
    }
}

/* ------------------------------------------------------------------- credit */

static uint32_t room(const struct consumer *c)
{
    if (c->window + c->credit >= c->bus->window)
        return 0;
    uint64_t mean = c->mean_bytes ? MAX(c->mean_bytes, (uint32_t)LEAST_MEAN_BYTES)
                                  : (uint32_t)FIRST_MEAN_BYTES;
    uint64_t fit = c->bytes < GROUP_WINDOW_BYTES ? (GROUP_WINDOW_BYTES - c->bytes) / mean : 0;
    fit = fit > c->credit ? fit - c->credit : 0;
    if (!fit && !c->window && !c->credit)
        fit = 1; /* whatever its size, one at a time goes on */
    return (uint32_t)MIN(fit, (uint64_t)(c->bus->window - c->window - c->credit));
}

static bool is_full(struct consumer *c)
{
    if (c->put_off_count < c->bus->put_off_max) {
        c->full = c->full && c->put_off_count > c->bus->put_off_max / 2;
        return false;
    }
    if (!c->full)
        bus_tell(c->bus, LOG_WARN,
                 "group \"%s\" has put off %u messages of stream \"" SLICE_FMT
                 "\": it gets nothing new until some are handled",
                 c->group->name, c->bus->put_off_max, SLICE_ARG(c->stream->name));
    c->full = true;
    return true;
}

static void on_credit(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, credit_op.op);
    c->credit_busy = false;
    c->ops--;
    if (op->status != ENGINE_OK)
        c->credit -= MIN(c->credit, c->credit_op.more);
    consumer_go_on(c);
}

static void give_credit(struct consumer *c)
{
    if (c->credit_busy || is_full(c))
        return;
    uint32_t more = room(c);
    if (!more || (more < c->bus->window / 4 && c->credit >= c->bus->window / 4))
        return; /* rarely and much */
    c->credit_busy = true;
    c->ops++;
    c->credit += more;
    c->credit_op = (struct op_credit){
        .op = {.kind = OP_CREDIT, .done = on_credit}, .consumer = c->id, .more = more};
    engine_submit(c->bus->engine, &c->credit_op.op);
}

/* --------------------------------------------------------------------- take */

static void take_again(struct consumer *c)
{
    while (!list_empty(&c->taking)) {
        struct entry *e = list_last(&c->taking, struct entry, node);
        list_del(&e->node);
        e->taken = false;
        c->taken--;
        e->state = ENTRY_DUE;
        list_push(&c->due, &e->node);
    }
    c->take_again_ms = bus_clock_ms() + bus_repeat_later(c->bus);
}

static void end_take(struct consumer *c)
{
    c->take_busy = false;
    c->ops--;
    consumer_go_on(c);
}

/* Whatever has not come by now is not there any more, or could not be read. */
static void on_all_taken(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, take_op.op);
    if (c->take_failed || op->status == ENGINE_BROKEN)
        take_again(c);
    while (!list_empty(&c->taking))
        entry_forget(list_first(&c->taking, struct entry, node));
    end_take(c);
}

static void on_take(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, take_op.op);
    if (op->status == ENGINE_OK || list_empty(&c->taking) || c->gone || c->bus->closing) {
        end_take(c);
        return;
    }
    /* Some may still be on their way: they have come when another op has ended. */
    c->take_failed = op->status == ENGINE_BROKEN;
    c->take_op =
        (struct op_take){.op = {.kind = OP_TAKE, .done = on_all_taken}, .consumer = c->id};
    engine_submit(c->bus->engine, &c->take_op.op);
}

static void take(struct consumer *c)
{
    size_t count = 0;
    if (c->replay)
        flow_look(c->bus); /* one that cannot be read does not come at all */
    if (c->take_busy || c->replay || list_empty(&c->due) || c->taken >= GROUP_TAKE_MAX ||
        c->bytes >= 2 * (uint64_t)GROUP_WINDOW_BYTES || bus_clock_ms() < c->take_again_ms)
        return;
    while (!list_empty(&c->due) && c->taken < GROUP_TAKE_MAX) {
        struct entry *e = list_first(&c->due, struct entry, node);
        list_del(&e->node);
        e->state = ENTRY_TAKING;
        e->taken = true;
        c->taken++;
        list_add(&c->taking, &e->node);
        c->take_seqs[count++] = e->seq;
    }
    c->take_busy = true;
    c->ops++;
    c->take_op = (struct op_take){.op = {.kind = OP_TAKE, .done = on_take},
                                  .consumer = c->id,
                                  .seqs = c->take_seqs,
                                  .count = count};
    engine_submit(c->bus->engine, &c->take_op.op);
}

void flow_refill(struct consumer *c)
{
    if (!c->id || c->seeking || c->gone || !c->group->ops || c->bus->closing)
        return;
    give_credit(c);
    take(c);
}

/* ------------------------------------------------------------------ put off */

void flow_due(struct entry *e)
{
    struct consumer *c = e->consumer;
    e->state = ENTRY_DUE;
    list_add(&c->due, &e->node);
    group_wake(c->group);
    if (!e->key)
        return;
    /* Of those that were parked behind it some come along: they will have their turns soon. */
    struct list *at = e->chain.next;
    for (int n = 1; n < GROUP_TAKE_AHEAD && at != &e->key->chain; n++, at = at->next) {
        struct entry *next = container_of(at, struct entry, chain);
        if (next->state != ENTRY_PARKED)
            break;
        next->state = ENTRY_DUE;
        list_add(&c->due, &next->node);
    }
}

static void on_due(struct timer *t);

static void arm(struct bus *bus)
{
    uint64_t first = due_first(&bus->put_off), now = bus_clock_ms();
    if (first == UINT64_MAX || bus->closing)
        timer_stop(bus->loop, &bus->put_off_timer);
    else
        timer_start(bus->loop, &bus->put_off_timer, first > now ? first - now : 0, on_due);
}

static void on_due(struct timer *t)
{
    struct bus *bus = container_of(t, struct bus, put_off_timer);
    uint64_t now = bus_clock_ms();
    for (int n = 0; n < TURN_DUE; n++) {
        struct due *d = due_next(&bus->put_off, now);
        if (!d)
            break;
        flow_due(container_of(d, struct entry, due));
    }
    arm(bus);
}

void flow_wait(struct entry *e, uint64_t at_ms)
{
    struct bus *bus = e->consumer->bus;
    e->state = ENTRY_WAITING;
    due_add(&bus->put_off, &e->due, at_ms);
    if (due_first(&bus->put_off) == at_ms)
        arm(bus);
}

/* --------------------------------------------------------------------- look */

static void on_look_timer(struct timer *t);

static void note_lag(struct consumer *c, const struct consumer_info *info)
{
    uint64_t before = c->unread;
    c->unread = info->lag > c->entry_count ? info->lag - c->entry_count : 0;
    if (c->unread != before || c->replay)
        group_wake(c->group);
    c->replay = 0; /* it had a second */
}

static void on_look(struct op *op)
{
    struct bus *bus = container_of(op, struct bus, look.op);
    bus->looking = false;
    for (size_t i = 0; op->status == ENGINE_OK && i < bus->look.consumer_count; i++) {
        struct consumer *c = idmap_get(&bus->consumers, bus->look.consumers[i].id);
        if (c && !c->seeking)
            note_lag(c, &bus->look.consumers[i]);
    }
    arena_reset(&bus->look_arena);
    bus_close_when_idle(bus);
}

static void on_look_timer(struct timer *t)
{
    struct bus *bus = container_of(t, struct bus, look_timer);
    if (bus->closing || bus->looking)
        return;
    bus->looking = true;
    bus->look =
        (struct op_info){.op = {.kind = OP_INFO, .done = on_look}, .arena = &bus->look_arena};
    engine_submit(bus->engine, &bus->look.op);
}

/*
 * While there is credit left, all that a consumer has is here.  Only of those that have none is
 * it unknown how much waits, so only then is the engine asked.
 */
void flow_look(struct bus *bus)
{
    if (!timer_runs(&bus->look_timer) && !bus->looking && !bus->closing)
        timer_start(bus->loop, &bus->look_timer, BUS_LOOK_MS, on_look_timer);
}
