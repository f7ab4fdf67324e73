#include "bus/bus_parts.h"
#include "bus/topic.h"

/* ------------------------------------------------------------------- limits */

static bool is_queue(struct slice name)
{
    return slice_starts(name, SLICE(BUS_QUEUE));
}

static const struct stream_config *configured(const struct bus *bus, struct slice name)
{
    for (size_t i = 0; i < bus->config->stream_count; i++)
        if (slice_is(name, bus->config->streams[i].name))
            return &bus->config->streams[i];
    return NULL;
}

static const struct queue_config *configured_queue(const struct bus *bus, struct slice name)
{
    struct slice queue = slice_from(name, strlen(BUS_QUEUE));
    for (size_t i = 0; i < bus->config->queue_count; i++)
        if (slice_is(queue, bus->config->queues[i].name))
            return &bus->config->queues[i];
    return NULL;
}

static struct stream_limits queue_limits(const struct bus *bus, struct slice name)
{
    const struct queue_config *q = configured_queue(bus, name);
    const struct bus_config *all = &bus->config->bus;
    return (struct stream_limits){
        .work = true,
        .durability = q ? (enum durability)q->durability : (enum durability)all->durability,
        .max_bytes = q ? q->max_bytes : all->max_bytes,
        .dedupe_window = q ? q->dedupe_window : all->dedupe_window,
    };
}

static struct stream_limits limits_of(const struct bus *bus, struct slice name)
{
    const struct stream_config *s = configured(bus, name);
    const struct bus_config *all = &bus->config->bus;
    if (is_queue(name))
        return queue_limits(bus, name);
    if (s)
        return (struct stream_limits){
            .durability = (enum durability)s->durability,
            .max_bytes = s->max_bytes,
            .max_age = s->max_age,
            .dedupe_window = s->dedupe_window,
            .discard_old = s->discard_old,
        };
    /* Dead letters stay until somebody has seen to them, however old they are. */
    bool ages = !slice_is(name, BUS_DEAD) && !slice_is(name, BUS_TIMES);
    return (struct stream_limits){
        .durability = (enum durability)all->durability,
        .max_bytes = all->max_bytes,
        .max_age = ages ? all->max_age : 0,
        .dedupe_window = all->dedupe_window,
    };
}

static bool limits_equal(const struct stream_limits *a, const struct stream_limits *b)
{
    return a->work == b->work && a->durability == b->durability &&
           a->max_bytes == b->max_bytes && a->max_age == b->max_age &&
           a->dedupe_window == b->dedupe_window && a->discard_old == b->discard_old;
}

/* ------------------------------------------------------------------ declare */

static void declare(struct bus_stream *s);

static void on_declared(struct op *op)
{
    struct bus_stream *s = container_of(op, struct bus_stream, op.op);
    s->busy = false;
    if (op->status == ENGINE_BROKEN) {
        s->again = true;
        IGNORE(bus_repeat_later(s->bus)); /* when that is does not matter here */
        return;
    }
    if (op->status != ENGINE_OK)
        bus_tell(s->bus, LOG_ERROR, "stream \"" SLICE_FMT "\": %s", SLICE_ARG(s->name),
                 op->error);
    if (s->again)
        declare(s);
}

static void declare(struct bus_stream *s)
{
    s->again = s->busy;
    if (s->busy || s->bus->closing)
        return;
    s->busy = true;
    s->op = (struct op_stream){
        .op = {.kind = OP_STREAM, .done = on_declared},
        .name = s->name,
        .work = s->limits.work,
        .durability = s->limits.durability,
        .max_bytes = s->limits.max_bytes,
        .max_age = s->limits.max_age,
        .discard_old = s->limits.discard_old,
        .dedupe_window = s->limits.dedupe_window,
    };
    engine_submit(s->bus->engine, &s->op.op);
}

void streams_repeat(struct bus *bus)
{
    list_each (at, &bus->streams) {
        struct bus_stream *s = container_of(at, struct bus_stream, node);
        if (s->again && !s->busy)
            declare(s);
    }
}

struct bus_stream *stream_find(struct bus *bus, struct slice name)
{
    struct keymap_node *node = keymap_find(&bus->stream_names, siphash(&bus->hash_key, name));
    for (; node; node = keymap_next(node)) {
        struct bus_stream *s = container_of(node, struct bus_stream, by_name);
        if (slice_eq(s->name, name))
            return s;
    }
    return NULL;
}

static struct bus_stream *have(struct bus *bus, struct slice name)
{
    struct bus_stream *s = stream_find(bus, name);
    struct stream_limits limits = limits_of(bus, name);
    if (s && limits_equal(&s->limits, &limits))
        return s;
    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->bus = bus;
        s->name = (struct slice){xstrndup(name.ptr, name.len), name.len};
        list_add(&bus->streams, &s->node);
        keymap_add(&bus->stream_names, &s->by_name, siphash(&bus->hash_key, name));
    }
    s->limits = limits;
    declare(s);
    return s;
}

/* --------------------------------------------------------------- configure */

static void drop_topics(struct bus_stream *s)
{
    for (size_t i = 0; i < s->topic_count; i++)
        xfree((char *)s->topics[i].ptr);
    xfree(s->topics);
    s->topics = NULL;
    s->topic_count = 0;
}

/* The stream that takes some of these topics already, or NULL. */
static const struct bus_stream *taken(struct bus *bus, struct slice pattern)
{
    list_each (at, &bus->streams) {
        const struct bus_stream *s = container_of(at, struct bus_stream, node);
        for (size_t i = 0; i < s->topic_count; i++)
            if (topic_patterns_overlap(s->topics[i], pattern))
                return s;
    }
    return NULL;
}

static void give_topic(struct bus_stream *s, struct slice pattern)
{
    const char *why = topic_pattern_check(pattern);
    const struct bus_stream *other = why ? NULL : taken(s->bus, pattern);
    if (other && other != s) {
        bus_tell(s->bus, LOG_ERROR,
                 "stream \"" SLICE_FMT "\": \"" SLICE_FMT
                 "\" overlaps with what stream \"" SLICE_FMT "\" takes: it is left to that one",
                 SLICE_ARG(s->name), SLICE_ARG(pattern), SLICE_ARG(other->name));
        return;
    }
    if (why) {
        bus_tell(s->bus, LOG_ERROR, "stream \"" SLICE_FMT "\": \"" SLICE_FMT "\": %s",
                 SLICE_ARG(s->name), SLICE_ARG(pattern), why);
        return;
    }
    s->topics = xrealloc(s->topics, (s->topic_count + 1) * sizeof(*s->topics));
    s->topics[s->topic_count++] =
        (struct slice){xstrndup(pattern.ptr, pattern.len), pattern.len};
}

static bool takes_no_topics(struct slice name)
{
    return slice_is(name, BUS_REST) || slice_is(name, BUS_DEAD) || slice_is(name, BUS_TIMES) ||
           is_queue(name);
}

static void configure_one(struct bus *bus, const struct stream_config *cfg)
{
    struct slice name = slice_of(cfg->name);
    struct bus_stream *s = have(bus, name);
    for (size_t i = 0; !takes_no_topics(name) && i < cfg->topics.count; i++)
        give_topic(s, slice_of(cfg->topics.items[i]));
}

void streams_configure(struct bus *bus)
{
    list_each (at, &bus->streams)
        drop_topics(container_of(at, struct bus_stream, node));
    have(bus, SLICE(BUS_REST));
    have(bus, SLICE(BUS_DEAD));
    for (size_t i = 0; i < bus->config->stream_count; i++)
        configure_one(bus, &bus->config->streams[i]);
    for (size_t i = 0; i < bus->config->queue_count; i++)
        stream_of_queue(bus, slice_of(bus->config->queues[i].name));
    list_each (at, &bus->streams) /* limits of those that nobody names any more */
        have(bus, container_of(at, struct bus_stream, node)->name);
}

void streams_free(struct bus *bus)
{
    while (!list_empty(&bus->streams)) {
        struct bus_stream *s = list_first(&bus->streams, struct bus_stream, node);
        list_del(&s->node);
        drop_topics(s);
        xfree((char *)s->name.ptr);
        xfree(s);
    }
    keymap_deinit(&bus->stream_names);
}

/* -------------------------------------------------------------------- route */

struct bus_stream *stream_of_topic(struct bus *bus, struct slice topic)
{
    list_each (at, &bus->streams) {
        struct bus_stream *s = container_of(at, struct bus_stream, node);
        for (size_t i = 0; i < s->topic_count; i++)
            if (topic_matches(s->topics[i], topic))
                return s;
    }
    return stream_find(bus, SLICE(BUS_REST));
}

struct bus_stream *stream_of_queue(struct bus *bus, struct slice queue)
{
    char name[sizeof(BUS_QUEUE) + TOPIC_MAX];
    if (queue.len > TOPIC_MAX)
        return NULL;
    memcpy(name, BUS_QUEUE, strlen(BUS_QUEUE));
    memcpy(name + strlen(BUS_QUEUE), queue.ptr, queue.len);
    struct slice whole = {name, strlen(BUS_QUEUE) + queue.len};
    struct bus_stream *s = stream_find(bus, whole);
    if (s || bus->stream_names.count >= BUS_STREAMS_MAX)
        return s;
    return have(bus, whole);
}

struct bus_stream *stream_of_times(struct bus *bus)
{
    return have(bus, SLICE(BUS_TIMES));
}

bool stream_may_have(struct bus *bus, const struct bus_stream *s, struct slice pattern)
{
    for (size_t i = 0; i < s->topic_count; i++)
        if (topic_patterns_overlap(s->topics[i], pattern))
            return true;
    if (!slice_is(s->name, BUS_REST))
        return false;
    bool is_topic = !topic_check(pattern);
    return !is_topic || stream_of_topic(bus, pattern) == s;
}
