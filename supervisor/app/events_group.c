/*
 * Groups, and the pools that handle them: a part of events.h.
 */
#include "app/events_parts.h"
#include "config/value.h"

enum {
    USUAL_MAX = 16,
    USUAL_TIMEOUT_MS = 30000,
    MOST = 1024, /* of one group with workers at a time: the bus has no more at hand */
    BACKOFFS_MAX = 64,
};

/* Each group goes first in its turn, so that none takes all the room there is. */
static void resume_feed(struct feed *feed)
{
    struct events *e = feed->events;
    struct listener *first = NULL;
    list_each_safe (at, &e->listeners) {
        struct listener *l = container_of(at, struct listener, node);
        if (l->feed != feed)
            continue;
        first = first ? first : l;
        group_resume(l->group);
    }
    if (!first)
        return;
    list_del(&first->node);
    list_add(&e->listeners, &first->node);
}

void listeners_resume(struct events *e)
{
    list_each (at, &e->feeds) {
        struct feed *feed = container_of(at, struct feed, node);
        bool has_room = feed->has_room;
        feed->has_room = false;
        if (has_room)
            resume_feed(feed);
    }
}

/* ------------------------------------------------------------------ what is declared */

struct start events_start_of(const struct frame_start *start)
{
    switch (start->kind) {
    case FRAME_START_FIRST:
        return (struct start){.kind = START_FIRST};
    case FRAME_START_SEQ:
        return (struct start){.kind = START_SEQ, .seq = start->number};
    case FRAME_START_TIME:
        return (struct start){.kind = START_TIME, .time_ms = (int64_t)start->number};
    case FRAME_START_NEW:
        break;
    }
    return (struct start){.kind = START_NEW};
}

static const struct queue_config *queue_of(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->queue_count; i++)
        if (slice_is(name, c->queues[i].name))
            return &c->queues[i];
    return NULL;
}

/* Durations as written, which have been checked. */
static void read_backoff(const struct string_list *list, struct arena *arena,
                         struct subscription *into)
{
    size_t count = MIN(list->count, (size_t)BACKOFFS_MAX);
    uint64_t *ms = arena_alloc(arena, count * sizeof(*ms));
    for (size_t i = 0; i < count; i++) {
        uint64_t us = 0;
        IGNORE(value_duration(slice_of(list->items[i]), false, &us));
        ms[i] = us / 1000;
    }
    into->backoff = ms;
    into->backoff_count = count;
}

/* What the worker says, or its queue, or [bus], or what is usual. */
static struct subscription read_subscription(const struct config *c, struct arena *arena,
                                             const struct ready_subscription *s)
{
    const struct queue_config *queue = s->job ? queue_of(c, s->topic) : NULL;
    uint64_t usual = !s->job ? USUAL_TIMEOUT_MS : queue ? queue->timeout : 0;
    uint64_t attempts = queue && queue->attempts ? queue->attempts : c->bus.attempts;
    struct subscription out = {
        .pattern = s->topic,
        .timeout_ms = s->has_timeout ? s->timeout_ms : usual,
        .attempts = (uint32_t)(s->attempts ? s->attempts : attempts),
        .backoff = s->backoff,
        .backoff_count = s->backoff_count,
    };
    if (!s->backoff)
        read_backoff(queue && queue->backoff.count ? &queue->backoff : &c->bus.backoff, arena,
                     &out);
    return out;
}

static struct slice name_of(const struct worker *w, const struct ready_subscription *s)
{
    return s->job ? s->topic : s->group.len ? s->group : slice_of(w->pool->config->name);
}

static bool is_same_group(const struct worker *w, const struct ready_subscription *a,
                          const struct ready_subscription *b)
{
    return !a->each && !b->each && a->job == b->job && slice_eq(name_of(w, a), name_of(w, b));
}

static unsigned max_of(const struct worker *w, const struct ready_subscription *s)
{
    uint64_t usual = MIN(w->ready.concurrency, (uint64_t)USUAL_MAX);
    return (unsigned)(s->max ? s->max : usual);
}

/* The group that begins with subscription `first`; NULL with a sentence. */
static struct group *declare_group(struct events *e, const struct worker *w, size_t first,
                                   unsigned *max, struct err *err)
{
    const struct ready_subscription *all = w->ready.subscriptions;
    struct arena arena = {0};
    struct subscription *subscriptions =
        arena_alloc(&arena, w->ready.subscription_count * sizeof(*subscriptions));
    size_t count = 0;
    *max = 0;
    for (size_t i = first; i < w->ready.subscription_count; i++) {
        if (!is_same_group(w, &all[first], &all[i]))
            continue;
        subscriptions[count++] = read_subscription(*e->host.config, &arena, &all[i]);
        *max = MAX(*max, max_of(w, &all[i]));
    }
    struct buf stream = {0};
    if (all[first].job)
        buf_addf(&stream, "queue." SLICE_FMT, SLICE_ARG(all[first].topic));
    struct group *group = bus_group(e->bus,
                                    &(struct group_config){
                                        .stream = buf_slice(&stream),
                                        .name = name_of(w, &all[first]),
                                        .subscriptions = subscriptions,
                                        .subscription_count = count,
                                        .start = events_start_of(&all[first].from),
                                    },
                                    err);
    buf_deinit(&stream);
    arena_deinit(&arena);
    return group;
}

static struct listener *listener_find(struct events *e, struct slice name, bool job)
{
    list_each (at, &e->listeners) {
        struct listener *l = container_of(at, struct listener, node);
        if (l->job == job && slice_is(name, l->name))
            return l;
    }
    return NULL;
}

static struct listener *listener_of(struct events *e, struct group *group, struct slice name,
                                    bool job)
{
    struct listener *l = listener_find(e, name, job);
    if (!l) {
        l = xcalloc(1, sizeof(*l));
        l->events = e;
        l->name = xstrndup(name.ptr, name.len);
        l->job = job;
        list_add(&e->listeners, &l->node);
    }
    l->group = group;
    return l;
}

static struct feed *feed_find(struct events *e, const struct pool *pool)
{
    list_each (at, &e->feeds)
        if (container_of(at, struct feed, node)->pool == pool)
            return container_of(at, struct feed, node);
    return NULL;
}

static struct feed *feed_new(struct events *e, struct pool *pool)
{
    struct feed *feed = xcalloc(1, sizeof(*feed));
    *feed = (struct feed){.events = e, .pool = pool};
    list_add(&e->feeds, &feed->node);
    return feed;
}

/* The first pool that claims a group keeps it. */
static bool is_taken(struct events *e, const struct feed *feed, struct slice name, bool job)
{
    const struct listener *l = listener_find(e, name, job);
    if (!l || !l->feed || l->feed == feed)
        return false;
    pool_tell_once(feed->pool, "%s \"" SLICE_FMT "\" is handled by %s already%s",
                   job ? "queue" : "group", SLICE_ARG(name), l->feed->pool->config->name,
                   job ? "" : ": give this one another group");
    return true;
}

static struct listener *declare(struct events *e, struct feed *feed, struct worker *w,
                                size_t first)
{
    const struct ready_subscription *s = &w->ready.subscriptions[first];
    struct slice name = name_of(w, s);
    struct err err;
    unsigned max;
    if (is_taken(e, feed, name, s->job))
        return NULL;
    struct group *group = declare_group(e, w, first, &max, &err);
    if (!group) {
        pool_tell_once(w->pool, "%s", err.text);
        return NULL;
    }
    struct listener *l = listener_of(e, group, name, s->job);
    l->feed = feed;
    l->max = (unsigned)MIN((uint64_t)max, w->ready.concurrency);
    if (group_owner(group) != l)
        group_serve(group, &handle_ops, l, MOST);
    event_seat(w, l, max);
    return l;
}

static void retire(struct listener *l)
{
    l->feed = NULL;
    handle_let_go(l);
}

static bool is_among(const struct listener *l, struct listener *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i] == l)
            return true;
    return false;
}

void listeners_declare(struct events *e, struct pool *pool, struct worker *w)
{
    const struct ready *ready = &w->ready;
    struct feed *feed = feed_find(e, pool);
    struct arena arena = {0};
    if (!feed && !ready->subscription_count)
        return;
    if (!feed)
        feed = feed_new(e, pool);
    struct listener **now =
        arena_alloc(&arena, (ready->subscription_count + 1) * sizeof(struct listener *));
    size_t count = 0;
    event_unseat(w);
    for (size_t i = 0; i < ready->subscription_count && worker_has(w, FEATURE_EVENTS); i++) {
        size_t before = 0;
        while (before < i &&
               !is_same_group(w, &ready->subscriptions[before], &ready->subscriptions[i]))
            before++;
        if (ready->subscriptions[i].each || before < i)
            continue;
        struct listener *l = declare(e, feed, w, i);
        if (l)
            now[count++] = l;
    }
    list_each (at, &e->listeners) {
        struct listener *l = container_of(at, struct listener, node);
        if (l->feed == feed && !is_among(l, now, count))
            retire(l);
    }
    arena_deinit(&arena);
    feed->has_room = true;
    loop_defer(e->host.loop, &e->resume);
}

void listeners_pool_removed(struct events *e, struct pool *pool)
{
    list_each_safe (at, &e->feeds) {
        struct feed *feed = container_of(at, struct feed, node);
        if (feed->pool != pool)
            continue;
        list_each (in, &e->listeners)
            if (container_of(in, struct listener, node)->feed == feed)
                retire(container_of(in, struct listener, node));
        list_del(&feed->node);
        xfree(feed);
    }
}

/* ------------------------------------------------------------------- forgetting one */

static unsigned count_subscribed(const struct listener *l)
{
    unsigned count = 0;
    for (int state = WORKER_READY; l->feed && state <= WORKER_UNHEALTHY; state++)
        list_each (at, &l->feed->pool->states[state]) {
            const struct worker *w = container_of(at, struct worker, node);
            bool does = false;
            for (size_t i = 0; i < w->ready.subscription_count && !does; i++) {
                const struct ready_subscription *s = &w->ready.subscriptions[i];
                does = !s->each && s->job == l->job && slice_is(name_of(w, s), l->name);
            }
            count += does;
        }
    return count;
}

bool events_drop_group(struct events *e, struct group *group,
                       void (*done)(void *arg, const char *), void *arg, struct err *err)
{
    struct listener *l = NULL;
    list_each (at, &e->listeners)
        if (container_of(at, struct listener, node)->group == group)
            l = container_of(at, struct listener, node);
    unsigned count = l ? count_subscribed(l) : 0;
    if (count) {
        const char *program = l->feed->pool->config->name;
        err_set(
            err, -1,
            "%u process%s of %s subscribe%s to it: stop the program (nodey stop %s), or take "
            "it out of the configuration (nodey reload), before its place is forgotten. To "
            "begin anew: nodey events replay %s --from first",
            count, count == 1 ? "" : "es", program, count == 1 ? "s" : "", program, l->name);
        return false;
    }
    if (l && l->out) {
        err_set(err, -1, "a worker that is about to end still has messages of it: try again");
        return false;
    }
    if (l) { /* the group may be no more when group_drop() returns */
        group_serve(group, NULL, NULL, 0);
        l->feed = NULL;
        l->group = NULL;
    }
    group_drop(group, done, arg);
    return true;
}

void listeners_free(struct events *e)
{
    list_each_safe (at, &e->listeners) {
        struct listener *l = container_of(at, struct listener, node);
        list_del(&l->node);
        xfree(l->name);
        xfree(l);
    }
    list_each_safe (at, &e->feeds) {
        struct feed *feed = container_of(at, struct feed, node);
        list_del(&feed->node);
        xfree(feed);
    }
}
