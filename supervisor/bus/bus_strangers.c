/*
 * Streams that an earlier run has left with something in them, and that nobody of this one will
 * take: told once, as what is in them stays there for ever otherwise.
 */
#include "bus/group_parts.h"

/* Queues are known by the programs that handle them, which need a while to say so. */
enum { QUEUES_AFTER_MS = 15000 };

struct look {
    struct bus *bus;
    struct op_info info;
    struct arena arena;
    bool queues;
};

static bool is_queue(struct slice name)
{
    return slice_starts(name, SLICE(BUS_QUEUE));
}

static bool is_configured(const struct bus *bus, struct slice queue)
{
    for (size_t i = 0; i < bus->config->queue_count; i++)
        if (slice_is(queue, bus->config->queues[i].name))
            return true;
    return false;
}

static bool is_stranger(struct bus *bus, struct slice name)
{
    if (!is_queue(name))
        return !stream_find(bus, name) && !slice_is(name, BUS_TIMES);
    const struct group *group = bus_find_group(bus, name);
    return !(group && group_owner(group)) &&
           !is_configured(bus, slice_from(name, strlen(BUS_QUEUE)));
}

/* The group that lacks most; what nobody was ever to handle is unread as a whole. */
static uint64_t unread(const struct op_info *info, const struct stream_info *s,
                       struct slice *group)
{
    uint64_t most = 0;
    bool any = false;
    *group = (struct slice){0};
    for (size_t i = 0; i < info->consumer_count; i++) {
        const struct consumer_info *c = &info->consumers[i];
        if (!slice_eq(c->stream, s->name))
            continue;
        any = true;
        if (c->lag > most) {
            most = c->lag;
            *group = c->name;
        }
    }
    return any ? most : s->messages;
}

static void tell(struct bus *bus, const struct op_info *info, const struct stream_info *s)
{
    struct slice group;
    uint64_t count = unread(info, s, &group);
    unsigned long long n = count;
    const char *plural = count == 1 ? "" : "s";
    if (!count)
        return;
    if (is_queue(s->name)) {
        struct slice queue = slice_from(s->name, strlen(BUS_QUEUE));
        bus_tell(bus, LOG_WARN,
                 "queue \"" SLICE_FMT "\" holds %llu job%s, and no program handles them: put "
                 "the one that did back, or drop them: nodey bus drop " SLICE_FMT,
                 SLICE_ARG(queue), n, plural, SLICE_ARG(s->name));
    } else if (group.len) {
        bus_tell(bus, LOG_WARN,
                 "stream \"" SLICE_FMT "\" is not in nodey.toml, and holds %llu message%s that "
                 "group \"" SLICE_FMT "\" has not handled: put [streams." SLICE_FMT
                 "] back, or drop it with all that it has: nodey bus drop " SLICE_FMT,
                 SLICE_ARG(s->name), n, plural, SLICE_ARG(group), SLICE_ARG(s->name),
                 SLICE_ARG(s->name));
    } else {
        bus_tell(bus, LOG_WARN,
                 "stream \"" SLICE_FMT "\" is not in nodey.toml, and holds %llu message%s that "
                 "nobody has handled: put [streams." SLICE_FMT
                 "] back, or drop it with all that it has: nodey bus drop " SLICE_FMT,
                 SLICE_ARG(s->name), n, plural, SLICE_ARG(s->name), SLICE_ARG(s->name));
    }
}

static void look(struct bus *bus, bool queues);

static void on_queues(struct timer *t)
{
    look(container_of(t, struct bus, strangers_timer), true);
}

static void on_info(struct op *op)
{
    struct look *l = container_of(op, struct look, info.op);
    struct bus *bus = l->bus;
    for (size_t i = 0; op->status == ENGINE_OK && i < l->info.stream_count; i++) {
        const struct stream_info *s = &l->info.streams[i];
        if (s->messages && is_queue(s->name) == l->queues && is_stranger(bus, s->name))
            tell(bus, &l->info, s);
    }
    if (!l->queues && !bus->closing)
        timer_start(bus->loop, &bus->strangers_timer, QUEUES_AFTER_MS, on_queues);
    arena_deinit(&l->arena);
    xfree(l);
    bus->jobs--;
    bus_close_when_idle(bus);
}

static void look(struct bus *bus, bool queues)
{
    struct look *l = xcalloc(1, sizeof(*l));
    l->bus = bus;
    l->queues = queues;
    l->info = (struct op_info){.op = {.kind = OP_INFO, .done = on_info}, .arena = &l->arena};
    bus->jobs++;
    engine_submit(bus->engine, &l->info.op);
}

void strangers_look(struct bus *bus)
{
    look(bus, false);
}

/* ---------------------------------------------------------------------- drop */

struct dropping {
    struct bus *bus;
    struct op_drop op;
    char *name;
    void (*done)(void *arg, const char *error);
    void *arg;
};

static void on_dropped(struct op *op)
{
    struct dropping *d = container_of(op, struct dropping, op.op);
    struct bus *bus = d->bus;
    d->done(d->arg, op->status == ENGINE_OK ? NULL : op->error);
    xfree(d->name);
    xfree(d);
    bus->jobs--;
    bus_close_when_idle(bus);
}

void bus_drop_stream(struct bus *bus, struct slice name,
                     void (*done)(void *arg, const char *error), void *arg)
{
    if (bus->closing) {
        done(arg, "nodey is stopping");
        return;
    }
    if (stream_find(bus, name)) {
        done(arg, is_queue(name)
                      ? "this run uses that queue: a nodey whose programs do not, and that has "
                        "no [queues] of that name, can drop it"
                      : "this run has that stream, and would have it again: a nodey without it "
                        "in its nodey.toml can drop it; \"events\" and \"dead\" are always "
                        "there");
        return;
    }
    struct dropping *d = xcalloc(1, sizeof(*d));
    d->bus = bus;
    d->name = xstrndup(name.ptr, name.len);
    d->op = (struct op_drop){.op = {.kind = OP_DROP, .done = on_dropped},
                             .stream = {d->name, name.len}};
    d->done = done;
    d->arg = arg;
    bus->jobs++;
    engine_submit(bus->engine, &d->op.op);
}
