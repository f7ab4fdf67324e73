#include <stdio.h>

#include "bus/group_parts.h"

/* Its owner has it for nothing: no settle is wanted. */
static void take_away(struct entry *e)
{
    struct group *g = e->consumer->group;
    entry_leave_out(e);
    if (g->ops)
        g->ops->revoke(g, &e->delivery);
    terms_drop(e->terms);
    e->terms = NULL;
}

static void forget_all(struct consumer *c)
{
    while (!list_empty(&c->entries)) {
        struct entry *e = list_first(&c->entries, struct entry, mine);
        if (e->state == ENTRY_OUT)
            take_away(e);
        else if (e->state == ENTRY_CRASHED)
            terms_drop(e->terms);
        entry_forget(e);
    }
    c->unread = 0;
}

static bool begin_wait(struct group *g, void (*done)(void *, const char *), void *arg)
{
    if (g->wait.left)
        return false;
    g->wait = (struct group_wait){.done = done, .arg = arg, .left = 1};
    return true;
}

static void end_wait(struct group *g, const struct op *op)
{
    struct group_wait *w = &g->wait;
    if (op && op->status != ENGINE_OK)
        snprintf(w->error, sizeof(w->error), "%s", *op->error ? op->error : "the store failed");
    if (--w->left)
        return;
    struct group_wait ended = *w;
    if (ended.done)
        ended.done(ended.arg, *ended.error ? ended.error : NULL);
}

/* --------------------------------------------------------------------- seek */

static void on_sought(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, seek.op);
    c->ops--;
    if (op->status == ENGINE_BROKEN && !c->bus->closing) {
        c->seek_again = true; /* what it had is forgotten here, so there is no way back */
        IGNORE(bus_repeat_later(c->bus)); /* when that is does not matter here */
        return;
    }
    c->seeking = false;
    end_wait(c->group, op);
    consumer_go_on(c);
}

void consumer_seek(struct consumer *c)
{
    struct start start = c->seek.start;
    c->seeking = true;
    c->seek_again = false;
    c->ops++;
    c->seek = (struct op_seek){
        .op = {.kind = OP_SEEK, .done = on_sought}, .consumer = c->id, .start = start};
    engine_submit(c->bus->engine, &c->seek.op);
}

static void begin_seek(struct consumer *c)
{
    forget_all(c);
    c->epoch++; /* what comes from the new place may do so before the seek is done */
    consumer_seek(c);
}

static bool is_declared(const struct group *g)
{
    list_each (at, &g->consumers)
        if (!container_of(at, struct consumer, node)->id)
            return false;
    return true;
}

void group_seek(struct group *g, struct start start, void (*done)(void *arg, const char *error),
                void *arg)
{
    if (!begin_wait(g, done, arg)) {
        done(arg, "another seek of this group is under way");
        return;
    }
    list_each (at, &g->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        g->wait.left++;
        c->seek.start = start;
        if (c->id)
            begin_seek(c);
        else
            c->seek_then = true;
    }
    end_wait(g, NULL);
}

void consumer_was_declared(struct consumer *c, const struct op *op)
{
    if (!c->seek_then || (!c->id && op->status == ENGINE_BROKEN)) /* that one is repeated */
        return;
    c->seek_then = false;
    if (c->id)
        begin_seek(c);
    else
        end_wait(c->group, op);
}

/* --------------------------------------------------------------------- drop */

static void on_dropped(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, drop.op);
    c->ops--;
    end_wait(c->group, op);
    consumer_drop_if_idle(c);
}

static void drop_consumer(struct consumer *c)
{
    struct bus *bus = c->bus;
    forget_all(c);
    c->gone = true;
    c->ops++;
    idmap_remove(&bus->consumers, c->id);
    c->drop = (struct op_drop){.op = {.kind = OP_DROP, .done = on_dropped}, .consumer = c->id};
    engine_submit(bus->engine, &c->drop.op);
}

void group_drop(struct group *g, void (*done)(void *arg, const char *error), void *arg)
{
    if (!is_declared(g)) {
        done(arg, "the group is just being declared: try again");
        return;
    }
    if (!begin_wait(g, done, arg)) {
        done(arg, "a seek of this group is under way");
        return;
    }
    g->gone = true;
    list_each (at, &g->consumers) {
        g->wait.left++;
        drop_consumer(container_of(at, struct consumer, node));
    }
    end_wait(g, NULL);
    g->ops = NULL;
    group_free_if_gone(g);
}

/* ---------------------------------------------------------------------- gap */

/* What was put off and is removed will not come when it is asked for. */
void group_gap(struct bus *bus, uint32_t id, uint64_t from, uint64_t to)
{
    struct consumer *c = idmap_get(&bus->consumers, id);
    if (!c)
        return;
    list_each_safe (at, &c->entries) {
        struct entry *e = container_of(at, struct entry, mine);
        if (e->indexed && e->state != ENTRY_TAKING && e->seq >= from && e->seq <= to)
            entry_forget(e);
    }
    if (c->group->ops && c->group->ops->gap)
        c->group->ops->gap(c->group, from, to);
    group_wake(c->group);
}
