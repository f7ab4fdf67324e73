#include <assert.h>

#include "bus/group_parts.h"

struct entry *entry_new(struct consumer *c, uint64_t seq)
{
    struct bus *bus = c->bus;
    struct entry *e;
    if (list_empty(&bus->spare_entries)) {
        e = xmalloc(sizeof(*e));
    } else {
        e = list_first(&bus->spare_entries, struct entry, node);
        list_del(&e->node);
        bus->spare_entry_count--;
    }
    *e = (struct entry){.consumer = c, .seq = seq, .delivery = {.group = c->group}};
    list_init(&e->delivery.node);
    list_init(&e->node);
    list_init(&e->chain);
    list_add(&c->entries, &e->mine);
    c->entry_count++;
    return e;
}

static void give_back(struct bus *bus, struct entry *e)
{
    if (bus->spare_entry_count >= GROUP_SPARE) {
        xfree(e);
        return;
    }
    list_init(&e->node);
    list_push(&bus->spare_entries, &e->node);
    bus->spare_entry_count++;
}

void entries_free_spare(struct bus *bus)
{
    while (!list_empty(&bus->spare_entries)) {
        struct entry *e = list_first(&bus->spare_entries, struct entry, node);
        list_del(&e->node);
        xfree(e);
    }
}

void entry_set_message(struct entry *e, struct message *m)
{
    struct consumer *c = e->consumer;
    if (e->delivery.message) {
        c->bytes -= message_bytes(e->delivery.message);
        message_release(e->delivery.message);
    }
    e->delivery.message = m;
    if (!m)
        return;
    uint32_t bytes = (uint32_t)message_bytes(m);
    c->bytes += bytes;
    c->mean_bytes = c->mean_bytes ? c->mean_bytes - c->mean_bytes / 16 + bytes / 16 : bytes;
}

/* It changes from BEHIND to whatever. */
void entry_leave_behind(struct entry *e)
{
    if (e->state == ENTRY_BEHIND && e->in_window)
        e->consumer->behind--;
    e->state = ENTRY_NEW;
}

static void leave_window(struct entry *e)
{
    struct consumer *c = e->consumer;
    if (e->in_window)
        c->window--;
    if (e->taken)
        c->taken--;
    e->in_window = e->taken = false;
}

static void leave_index(struct entry *e)
{
    if (e->indexed)
        idmap_remove(&e->consumer->put_off, e->seq);
    e->indexed = false;
}

void entry_forget(struct entry *e)
{
    struct consumer *c = e->consumer;
    struct bus *bus = c->bus;
    assert(e->state != ENTRY_OUT);
    list_del(&e->node);
    list_del(&e->mine);
    c->entry_count--;
    order_leave(e);
    due_remove(&bus->put_off, &e->due);
    leave_index(e);
    if (e->state == ENTRY_BEHIND)
        entry_leave_behind(e);
    leave_window(e);
    if (e->is_put_off)
        c->put_off_count--;
    entry_set_message(e, NULL);
    xfree(e->failure);
    e->failure = NULL;
    if (e->state == ENTRY_SETTLING)
        e->state = ENTRY_VOID; /* and freed when its op ends */
    else
        give_back(bus, e);
}

void entry_put_off(struct entry *e)
{
    struct consumer *c = e->consumer;
    entry_set_message(e, NULL);
    leave_window(e);
    if (!e->is_put_off)
        c->put_off_count++;
    e->is_put_off = true;
    idmap_put(&c->put_off, e->seq, e);
    e->indexed = true;
}

void entry_make_ready(struct entry *e, bool first)
{
    struct group *g = e->consumer->group;
    struct list *line = e->suspect ? &g->suspects : &g->ready;
    e->state = ENTRY_READY;
    if (first)
        list_push(line, &e->node);
    else
        list_add(line, &e->node);
    group_wake(g);
}

void entry_leave_out(struct entry *e)
{
    struct group *g = e->consumer->group;
    assert(e->state == ENTRY_OUT);
    list_del(&e->node);
    g->out_count--;
    g->bus->out--;
    if (e->delivery.alone)
        g->alone_out = false;
    e->state = ENTRY_NEW;
}

/* Is there so much time until it comes back that nobody should wait for it in memory? */
static bool is_far(const struct entry *e)
{
    if (e->state == ENTRY_PARKED)
        return true;
    if (e->state != ENTRY_WAITING && !(e->state == ENTRY_SETTLING && e->later))
        return false;
    return e->due.at_ms >= bus_clock_ms() + e->consumer->bus->soon_ms;
}

void entry_place(struct entry *e)
{
    struct consumer *c = e->consumer;
    if (order_is_first(e)) {
        entry_make_ready(e, false);
        return;
    }
    if (is_far(list_first(&e->key->chain, struct entry, chain)) ||
        (e->in_window && c->behind >= c->bus->window / 2)) {
        settle_park(e); /* or a key with much to do would leave no room for the others */
        return;
    }
    e->state = ENTRY_BEHIND;
    c->behind += e->in_window;
}
