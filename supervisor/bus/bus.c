#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/dead_count.h"
#include "bus/group_parts.h"

int64_t bus_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t bus_clock_ms(void)
{
    return loop_clock_ns() / 1000000;
}

void bus_tell(struct bus *bus, int level, const char *fmt, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    bus->observer->tell(bus->observer, level, sentence);
}

/* -------------------------------------------------------------- what happens */

static void on_deliver(struct engine *e, const struct delivery_note *notes, size_t count)
{
    flow_deliver(e->owner, notes, count);
}

static void on_stored(struct engine *e, struct message *const *messages, size_t count)
{
    struct bus *bus = e->owner;
    if (bus->observer->stored)
        for (size_t i = 0; i < count; i++)
            bus->observer->stored(bus->observer, messages[i]);
}

static void on_gap(struct engine *e, uint32_t consumer, uint64_t from, uint64_t to)
{
    group_gap(e->owner, consumer, from, to);
}

static void on_tell(struct engine *e, int level, const char *sentence)
{
    struct bus *bus = e->owner;
    bus->observer->tell(bus->observer, level, sentence);
}

static void on_closed(struct engine *e)
{
    struct bus *bus = e->owner;
    bus->closed = true;
    task_cancel(&bus->turn);
    timer_stop(bus->loop, &bus->patience_timer);
    bus->observer->closed(bus->observer);
}

/* ------------------------------------------------------------------- repeat */

static void on_repeat(struct timer *t)
{
    struct bus *bus = container_of(t, struct bus, repeat_timer);
    streams_repeat(bus);
    list_each (at, &bus->groups) {
        struct group *g = container_of(at, struct group, node);
        list_each (c, &g->consumers) {
            struct consumer *consumer = container_of(c, struct consumer, node);
            if (consumer->declare_again && !consumer->declaring && !consumer->gone)
                consumer_declare(consumer);
            if (consumer->seek_again && !consumer->gone)
                consumer_seek(consumer);
        }
        group_wake(g);
    }
    settle_repeat(bus);
}

uint64_t bus_repeat_later(struct bus *bus)
{
    if (timer_runs(&bus->repeat_timer) || bus->closing)
        return bus->repeat_ms;
    bus->repeat_ms = bus->repeat_ms ? MIN(bus->repeat_ms * 2, (uint64_t)BUS_REPEAT_MAX_MS)
                                    : bus->repeat_first_ms;
    timer_start(bus->loop, &bus->repeat_timer, bus->repeat_ms, on_repeat);
    return bus->repeat_ms;
}

/* ------------------------------------------------------------- open and close */

static struct bus *bus_new(struct loop *loop, struct config *config,
                           struct bus_observer *observer)
{
    struct bus *bus = xcalloc(1, sizeof(*bus));
    struct siphash_key seed = siphash_key_new();
    bus->loop = loop;
    bus->config = config_hold(config);
    bus->observer = observer;
    bus->chance = chance_seeded(seed.words[0]);
    bus->hash_key = siphash_key_new();
    bus->window = GROUP_WINDOW;
    bus->put_off_max = GROUP_PUT_OFF_MAX;
    bus->soon_ms = GROUP_SOON_MS;
    bus->repeat_first_ms = BUS_REPEAT_MS;
    list_init(&bus->streams);
    list_init(&bus->groups);
    list_init(&bus->woken);
    list_init(&bus->crashed);
    list_init(&bus->repeats);
    list_init(&bus->spare_entries);
    list_init(&bus->spare_settlings);
    list_init(&bus->relieved);
    task_init(&bus->turn, groups_turn);
    publish_init(bus);
    return bus;
}

struct bus *bus_open_on(struct loop *loop, struct config *config, struct bus_observer *observer,
                        engine_open_fn open, void (*engine_free)(struct engine *),
                        const void *how, struct err *err)
{
    static const struct engine_events events = {
        .deliver = on_deliver,
        .stored = on_stored,
        .gap = on_gap,
        .tell = on_tell,
        .closed = on_closed,
    };
    struct bus *bus = bus_new(loop, config, observer);
    bus->engine_free = engine_free;
    bus->engine = open(loop, &events, bus, how, err);
    if (!bus->engine) {
        bus->closed = true;
        bus_free(bus);
        return NULL;
    }
    /* Ops are done in order, so whatever is published comes after these. */
    streams_configure(bus);
    bus->schedules = schedules_new(bus);
    strangers_look(bus);
    return bus;
}

void bus_configure(struct bus *bus, struct config *config)
{
    struct config *old = bus->config;
    bus->config = config_hold(config);
    streams_configure(bus);
    groups_spread(bus);
    schedules_configure(bus->schedules);
    config_release(old);
}

void bus_close(struct bus *bus)
{
    if (bus->closing)
        return;
    bus->closing = true;
    timer_stop(bus->loop, &bus->put_off_timer);
    timer_stop(bus->loop, &bus->look_timer);
    timer_stop(bus->loop, &bus->strangers_timer);
    timer_stop(bus->loop, &bus->repeat_timer);
    schedules_stop(bus->schedules);
    settle_repeat(bus);
    bus_close_when_idle(bus);
}

void bus_close_when_idle(struct bus *bus)
{
    if (!bus->closing || bus->engine_closing || bus->in_turn || bus->out || bus->jobs ||
        !list_empty(&bus->crashed) || !list_empty(&bus->repeats))
        return;
    bus->engine_closing = true;
    bus->engine->ops->close(bus->engine);
}

void bus_free(struct bus *bus)
{
    assert(bus->closed);
    publish_end(bus);
    groups_free(bus);
    schedules_free(bus->schedules);
    dead_count_free(bus->dead_count);
    entries_free_spare(bus);
    settle_free_spare(bus);
    streams_free(bus);
    idmap_deinit(&bus->consumers);
    due_deinit(&bus->put_off);
    arena_deinit(&bus->look_arena);
    task_cancel(&bus->turn);
    if (bus->engine)
        bus->engine_free(bus->engine);
    config_release(bus->config);
    xfree(bus);
}

const struct engine_caps *bus_caps(const struct bus *bus)
{
    return &bus->engine->caps;
}

struct engine *bus_engine(struct bus *bus)
{
    return bus->engine;
}

bool bus_takes_ops(const struct bus *bus)
{
    return !bus->engine_closing;
}

/* --------------------------------------------------------------- congestion */

uint64_t bus_bytes_of(struct message *const *messages, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += message_bytes(messages[i]);
    return bytes;
}

void bus_count_in(struct bus *bus, uint64_t bytes)
{
    bus->waiting_bytes += bytes;
    bus->congested |= bus->waiting_bytes > BUS_CONGESTED_BYTES;
}

void bus_count_out(struct bus *bus, uint64_t bytes)
{
    bus->waiting_bytes -= bytes;
    if (!bus->congested || bus->waiting_bytes >= BUS_RELIEVED_BYTES)
        return;
    bus->congested = false;
    while (!list_empty(&bus->relieved)) {
        struct task *task = list_first(&bus->relieved, struct task, node);
        list_del(&task->node);
        loop_defer(bus->loop, task);
    }
}

bool bus_is_congested(const struct bus *bus)
{
    return bus->congested;
}

void bus_on_relief(struct bus *bus, struct task *task)
{
    if (!bus->congested)
        loop_defer(bus->loop, task);
    else if (list_empty(&task->node))
        list_add(&bus->relieved, &task->node);
}
