/*
 * Groups that begin elsewhere, or are forgotten: a part of control_bus.h.
 */
#include <stdio.h>

#include "app/control_bus_parts.h"
#include "config/value.h"
#include "http/path.h"

struct change {
    struct bus_job job;
    struct bus *bus;
    struct op_info info;
    struct arena arena;
    struct op_drop drop;
    size_t next; /* of info.consumers */
    bool found;
    uint64_t wanted; /* seek: the first seq that it asked for; 0 = none */
    char *name;
};

static void change_end(struct change *g, unsigned status, const char *error)
{
    struct exchange *x = bus_job_end(&g->job);
    if (x && error)
        control_refuse(x, status,
                       status == 404   ? "not_found"
                       : status == 503 ? "unavailable"
                                       : "failed_precondition",
                       slice_of(error), (struct slice){0});
    else if (x)
        control_answer(x, SLICE("{\"done\":true}\n"));
    arena_deinit(&g->arena);
    xfree(g->name);
    xfree(g);
}

static struct change *change_new(struct exchange *x, struct bus *bus, struct slice name)
{
    struct change *g = xcalloc(1, sizeof(*g));
    g->bus = bus;
    g->name = xstrndup(name.ptr, name.len);
    bus_job_begin(&g->job, x);
    return g;
}

static void on_changed(void *arg, const char *error)
{
    change_end(arg, 409, error);
}

/* ---------------------------------------------------------- what a seek cannot bring back */

/* Of the streams that the group reads. */
static uint64_t removed_for(const struct change *g)
{
    uint64_t removed = 0;
    for (size_t i = 0; i < g->info.consumer_count; i++)
        for (size_t j = 0; j < g->info.stream_count; j++)
            if (slice_is(g->info.consumers[i].name, g->name) &&
                slice_eq(g->info.consumers[i].stream, g->info.streams[j].name))
                removed = MAX(removed, g->info.streams[j].removed);
    return removed;
}

static void on_looked(struct op *op)
{
    struct change *g = container_of(op, struct change, info.op);
    uint64_t removed = op->status == ENGINE_OK ? removed_for(g) : 0;
    struct exchange *x = removed >= g->wanted ? bus_job_end(&g->job) : NULL;
    if (x) {
        char text[120];
        int len = snprintf(text, sizeof(text),
                           "{\"done\":true,\"gap\":{\"from\":%llu,\"to\":%llu}}\n",
                           (unsigned long long)g->wanted, (unsigned long long)removed);
        control_answer(x, (struct slice){text, (size_t)len});
    }
    change_end(g, 0, NULL);
}

static void look(struct change *g, void (*done)(struct op *))
{
    if (!bus_takes_ops(g->bus)) {
        change_end(g, 503, "nodey is stopping");
        return;
    }
    g->info = (struct op_info){.op = {.kind = OP_INFO, .done = done}, .arena = &g->arena};
    engine_submit(bus_engine(g->bus), &g->info.op);
}

static void on_sought(void *arg, const char *error)
{
    struct change *g = arg;
    if (error || !g->wanted || !g->job.exchange)
        change_end(g, 409, error);
    else
        look(g, on_looked);
}

/* ------------------------------------------------------- a group that nobody serves */

static void drop_next(struct change *);

static void on_dropped(struct op *op)
{
    struct change *g = container_of(op, struct change, drop.op);
    if (op->status == ENGINE_OK || op->status == ENGINE_UNKNOWN)
        drop_next(g);
    else
        change_end(g, 409, op->error);
}

static bool is_of_queue(const struct consumer_info *i)
{
    return slice_starts(i->stream, SLICE("queue."));
}

/* "queue.NAME" is the queue's; a name alone is a group's of topics, if there is one. */
static bool is_meant(const struct change *g, const struct consumer_info *i)
{
    bool plain = false;
    for (size_t n = 0; n < g->info.consumer_count && !plain; n++)
        plain =
            slice_is(g->info.consumers[n].name, g->name) && !is_of_queue(&g->info.consumers[n]);
    if (is_of_queue(i))
        return slice_is(i->stream, g->name) || (!plain && slice_is(i->name, g->name));
    return slice_is(i->name, g->name);
}

/* It may have a place in several streams. */
static void drop_next(struct change *g)
{
    char text[200];
    for (; g->job.exchange && bus_takes_ops(g->bus) && g->next < g->info.consumer_count;
         g->next++) {
        const struct consumer_info *i = &g->info.consumers[g->next];
        if (!is_meant(g, i))
            continue;
        g->found = true;
        g->next++;
        g->drop =
            (struct op_drop){.op = {.kind = OP_DROP, .done = on_dropped}, .consumer = i->id};
        engine_submit(bus_engine(g->bus), &g->drop.op);
        return;
    }
    snprintf(text, sizeof(text), "there is no group \"%.100s\"; nodey lag lists them", g->name);
    change_end(g, 404, g->found ? NULL : text);
}

static void on_info(struct op *op)
{
    drop_next(container_of(op, struct change, info.op));
}

/* One of an earlier run, whose program may be gone: only the store knows it. */
static void drop_stranger(struct exchange *x, struct bus *bus, struct slice name)
{
    look(change_new(x, bus, name), on_info);
}

/* ------------------------------------------------------------------------- requests */

/* "first", "new", {"seq": 5}, {"time": ms since 1970}. */
static bool read_start(struct exchange *x, struct start *start)
{
    struct json_value body, to, value;
    uint64_t n = 0;
    *start = (struct start){0};
    if (!control_bus_body(x, &body))
        return false;
    bool good = control_bus_member(&body, "to", &to);
    if (good && json_string_is(&to, "first")) {
        start->kind = START_FIRST;
    } else if (good && json_string_is(&to, "new")) {
        start->kind = START_NEW;
    } else if (good && control_bus_member(&to, "seq", &value)) {
        start->kind = START_SEQ;
        good = json_to_u64(&value, INT64_MAX, &start->seq);
    } else if (good && control_bus_member(&to, "time", &value)) {
        start->kind = START_TIME;
        good = json_to_u64(&value, INT64_MAX, &n);
        start->time_ms = (int64_t)n;
    } else {
        good = false;
    }
    if (!good)
        control_invalid(x, "the body is {\"to\": \"first\" | \"new\" | {\"seq\": N} | "
                           "{\"time\": MS}}");
    return good;
}

static void refuse_group(struct exchange *x, struct slice name)
{
    char text[200];
    snprintf(text, sizeof(text),
             "there is no group \"%.*s\" that a program serves; nodey lag "
             "lists them",
             (int)MIN(name.len, (size_t)100), name.ptr);
    control_refuse(x, 404, "not_found", slice_of(text), (struct slice){0});
}

static void seek(struct exchange *x, struct bus *bus, struct slice name)
{
    struct start start;
    struct group *group = bus_find_group(bus, name);
    if (!group) {
        refuse_group(x, name);
        return;
    }
    if (!read_start(x, &start))
        return;
    struct change *g = change_new(x, bus, group_name(group));
    g->wanted = start.kind == START_SEQ ? MAX(start.seq, 1) : 0;
    group_seek(group, start, on_sought, g);
}

static void drop(struct control *c, struct exchange *x, struct bus *bus, struct slice name)
{
    struct group *group = bus_find_group(bus, name);
    struct err err;
    if (!group) {
        drop_stranger(x, bus, name);
        return;
    }
    struct change *g = change_new(x, bus, group_name(group));
    if (!events_drop_group(c->host.events, group, on_changed, g, &err))
        change_end(g, 409, err.text);
}

void control_groups(struct control *c, struct exchange *x, struct slice rest)
{
    const char *slash = memrchr(rest.ptr, '/', rest.len);
    struct slice name = {rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
    struct slice verb = slash ? slice_from(rest, name.len + 1) : (struct slice){0};
    bool seeks = slice_is(verb, "seek");
    if (!seeks && !slice_is(verb, "drop"))
        control_refuse(x, 404, "not_found", SLICE("a group can be told: seek, drop"),
                       (struct slice){0});
    else if (!slice_is(exchange_request(x)->method, "POST"))
        control_refuse_method(x, "POST");
    else if (!path_decode(name, exchange_arena(x), &name) || !name.len ||
             memchr(name.ptr, '\0', name.len))
        control_invalid(x, "a group has a name");
    else {
        struct bus *bus = control_bus_open(c, x, /* opens= */ true);
        if (bus && seeks)
            seek(x, bus, name);
        else if (bus)
            drop(c, x, bus, name);
    }
}
