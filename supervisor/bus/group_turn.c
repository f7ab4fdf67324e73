#include <assert.h>

#include "bus/group_parts.h"

void group_wake(struct group *g)
{
    struct bus *bus = g->bus;
    if (g->gone)
        return;
    if (list_empty(&g->woken))
        list_add(&bus->woken, &g->woken);
    /* Who is woken while groups have their turns waits for the next one, as all others do. */
    if (bus->in_turn)
        loop_defer_next(bus->loop, &bus->turn);
    else
        loop_defer(bus->loop, &bus->turn);
}

/* Suspects go first and one after another; while one is out, the others go on. */
static struct entry *next_of(const struct group *g)
{
    if (!list_empty(&g->suspects) && !g->alone_out)
        return list_first(&g->suspects, struct entry, node);
    if (!list_empty(&g->ready))
        return list_first(&g->ready, struct entry, node);
    return NULL;
}

/* False: its owner has nobody for it. */
static bool hand_out(struct group *g, struct entry *e)
{
    struct delivery *d = &e->delivery;
    d->subscription = terms_match(g->terms, d->message->topic);
    list_del(&e->node);
    if (!d->subscription) { /* it subscribes to that no more */
        settle_done_silently(e);
        return true;
    }
    int64_t waited = bus_wall_ms() - e->since_ms;
    d->attempt = e->tries + 1;
    d->last = d->attempt >= d->subscription->attempts;
    d->alone = e->suspect;
    e->waited_ms = waited > 0 ? (uint64_t)waited : 0;
    e->began_us = loop_clock_ns() / 1000;
    e->terms = g->terms;
    e->terms->holders++;
    e->state = ENTRY_OUT;
    list_add(&g->out, &e->node);
    g->out_count++;
    g->bus->out++;
    g->alone_out |= d->alone;
    g->numbers.delivered++;
    if (g->ops->deliver(g, d))
        return true;
    g->numbers.delivered--;
    entry_leave_out(e);
    terms_drop(e->terms);
    e->terms = NULL;
    e->state = ENTRY_READY; /* where it was; it is its owner who knows when to ask again */
    list_push(e->suspect ? &g->suspects : &g->ready, &e->node);
    return false;
}

/* True: there is more for the next turn. */
static bool push(struct group *g)
{
    for (int n = 0; n < GROUP_TURN; n++) {
        struct entry *e = g->ops && g->out_count < g->most ? next_of(g) : NULL;
        if (!e || !hand_out(g, e))
            return false;
    }
    return g->ops && g->out_count < g->most && next_of(g);
}

static void tell_backlog(struct group *g)
{
    uint64_t backlog = group_backlog(g);
    if (backlog == g->told_backlog || !g->ops || !g->ops->changed)
        return;
    g->told_backlog = backlog;
    g->ops->changed(g);
}

static void refill(struct group *g)
{
    list_each (at, &g->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        flow_refill(c);
        if (!c->credit && c->id && g->ops)
            flow_look(g->bus);
    }
}

static void take_turn(struct group *g)
{
    refill(g);
    bool more = !g->bus->closing && push(g);
    tell_backlog(g);
    if (more)
        group_wake(g);
}

void groups_turn(struct task *task)
{
    struct bus *bus = container_of(task, struct bus, turn);
    struct list now;
    list_init(&now);
    bus->in_turn = true;
    settle_crashed(bus);
    list_splice(&now, &bus->woken);
    while (!list_empty(&now)) {
        struct group *g = list_first(&now, struct group, woken);
        list_del(&g->woken);
        take_turn(g);
    }
    bus->in_turn = false;
    bus_close_when_idle(bus);
}
