/*
 * What is published, until its publisher knows.
 *
 * The store answers when it is stored, or is not; while its disk is out of order it does
 * neither, for as long as that takes.  A publisher is told after a while that nobody knows, and
 * what it sent is the bus's until the store has answered.  So only what nobody but the bus
 * waits for is patient.
 */
#include <assert.h>
#include <stdio.h>

#include "bus/bus_parts.h"

/* From here to the store's answer. */
struct sending {
    struct op_publish op;
    struct list node; /* bus->sendings, while somebody waits who is not patient: oldest first */
    struct bus *bus;
    struct publication *publication; /* NULL: it was told already */
    struct message *single;          /* op.messages, when it is one */
    uint64_t bytes, since_ms;
};

static enum publish_fault fault_of(enum engine_status status)
{
    switch (status) {
    case ENGINE_OK:
        return PUBLISH_OK;
    case ENGINE_FULL:
        return PUBLISH_FULL;
    case ENGINE_INVALID:
        return PUBLISH_INVALID;
    default:
        return PUBLISH_FAILED;
    }
}

static const char *why_of(const struct op *op)
{
    if (op->status == ENGINE_OK || *op->error)
        return op->error;
    return op->status == ENGINE_FULL ? "the stream or the disk is full" : "the store failed";
}

/* Its publisher may free the publication from within `done`. */
static void tell(struct sending *s, enum publish_fault fault, const char *why)
{
    struct publication *p = s->publication;
    s->publication = NULL;
    list_del(&s->node);
    if (p)
        p->done(p, fault, why);
}

static void sending_end(struct sending *s, enum publish_fault fault, const char *why)
{
    tell(s, fault, why);
    for (size_t i = 0; i < s->op.count; i++)
        message_release(s->op.messages[i]);
    if (s->op.messages != &s->single)
        xfree(s->op.messages);
    xfree(s);
}

static void on_published(struct op *op)
{
    struct sending *s = container_of(op, struct sending, op.op);
    bus_count_out(s->bus, s->bytes);
    sending_end(s, fault_of(op->status), why_of(op));
}

static void refuse(struct task *task)
{
    struct bus *bus = container_of(task, struct bus, refuse);
    while (!list_empty(&bus->refused)) {
        struct sending *s = list_first(&bus->refused, struct sending, op.op.node);
        list_del(&s->op.op.node);
        sending_end(s, PUBLISH_FAILED, "nodey is stopping");
    }
}

static void on_patience(struct timer *t);

static void watch(struct bus *bus)
{
    if (list_empty(&bus->sendings) || timer_runs(&bus->patience_timer))
        return;
    uint64_t now = bus_clock_ms();
    uint64_t until =
        list_first(&bus->sendings, struct sending, node)->since_ms + bus->patience_ms;
    timer_start(bus->loop, &bus->patience_timer, until > now ? until - now : 0, on_patience);
}

static void on_patience(struct timer *t)
{
    struct bus *bus = container_of(t, struct bus, patience_timer);
    uint64_t now = bus_clock_ms();
    char why[200];
    snprintf(why, sizeof(why),
             "the store has not answered for %llu s: whether it is stored is not known; "
             "publish it again with the same id",
             (unsigned long long)bus->patience_ms / 1000);
    while (!list_empty(&bus->sendings)) {
        struct sending *s = list_first(&bus->sendings, struct sending, node);
        if (s->since_ms + bus->patience_ms > now)
            break;
        tell(s, PUBLISH_FAILED, why);
    }
    watch(bus);
}

void publish_init(struct bus *bus)
{
    bus->patience_ms = BUS_PATIENCE_MS;
    list_init(&bus->sendings);
    list_init(&bus->refused);
    task_init(&bus->refuse, refuse);
}

void publish_end(struct bus *bus)
{
    if (bus->refuse.node.next)
        refuse(&bus->refuse);
    task_cancel(&bus->refuse);
}

static void take_messages(struct sending *s, struct message *const *messages, size_t count)
{
    assert(count <= MESSAGE_OUTPUTS_MAX);
    s->op.count = count;
    s->op.messages = &s->single;
    s->bytes = bus_bytes_of(messages, count);
    if (count == 1) {
        s->single = messages[0];
    } else if (count) {
        s->op.messages = xmalloc(count * sizeof(*messages));
        memcpy(s->op.messages, messages, count * sizeof(*messages));
    }
}

static struct sending *submit(struct bus *bus, struct publication *p,
                              struct message *const *messages, size_t count, uint64_t forget)
{
    struct sending *s = xcalloc(1, sizeof(*s));
    s->bus = bus;
    s->publication = p;
    s->op.op.kind = OP_PUBLISH;
    s->op.op.done = on_published;
    s->op.forget = forget;
    take_messages(s, messages, count);
    p->messages = s->op.messages;
    p->count = count;
    list_init(&s->node);
    list_init(&s->op.op.node);
    if (bus->engine_closing) {
        list_add(&bus->refused, &s->op.op.node);
        loop_defer(bus->loop, &bus->refuse);
    } else {
        bus_count_in(bus, s->bytes);
        engine_submit(bus->engine, &s->op.op);
    }
    return s;
}

void bus_replace(struct bus *bus, struct publication *p, struct message *const *messages,
                 size_t count, uint64_t forget)
{
    submit(bus, p, messages, count, forget);
}

void bus_publish(struct bus *bus, struct publication *p, struct message *const *messages,
                 size_t count)
{
    struct sending *s = submit(bus, p, messages, count, 0);
    s->since_ms = bus_clock_ms();
    list_add(&bus->sendings, &s->node);
    watch(bus);
}

struct quiet {
    struct publication publication;
    struct bus *bus;
};

static void on_quiet(struct publication *p, enum publish_fault fault, const char *why)
{
    struct quiet *q = container_of(p, struct quiet, publication);
    if (fault != PUBLISH_OK)
        bus_tell(q->bus, LOG_ERROR,
                 "what a handler has published is lost with the message that it handled: %s",
                 why);
    xfree(q);
}

void bus_publish_quietly(struct bus *bus, struct message *const *messages, size_t count)
{
    struct quiet *q = xcalloc(1, sizeof(*q));
    q->bus = bus;
    q->publication.done = on_quiet;
    bus_replace(bus, &q->publication, messages, count, 0);
}
