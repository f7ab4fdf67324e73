#include <assert.h>

#include "bus/group_parts.h"
#include "bus/topic.h"

enum { NAME_BYTES_MAX = 255, SUBSCRIPTIONS_MAX = 1024, ATTEMPTS_MAX = 1000 };

/* -------------------------------------------------------------------- terms */

static struct terms *terms_new(const struct group_config *cfg)
{
    struct terms *t = xcalloc(1, sizeof(*t));
    t->holders = 1;
    t->count = cfg->subscription_count;
    t->items = arena_alloc(&t->arena, t->count * sizeof(*t->items));
    for (size_t i = 0; i < t->count; i++) {
        struct subscription *to = &t->items[i];
        size_t bytes = cfg->subscriptions[i].backoff_count * sizeof(uint64_t);
        uint64_t *steps = arena_alloc(&t->arena, bytes + 1);
        *to = cfg->subscriptions[i];
        if (bytes)
            memcpy(steps, to->backoff, bytes);
        to->backoff = steps;
        to->pattern = arena_copy(&t->arena, to->pattern);
    }
    return t;
}

void terms_drop(struct terms *t)
{
    if (!t || --t->holders)
        return;
    arena_deinit(&t->arena);
    xfree(t);
}

const struct subscription *terms_match(const struct terms *t, struct slice topic)
{
    for (size_t i = 0; i < t->count; i++)
        if (topic_matches(t->items[i].pattern, topic))
            return &t->items[i];
    return NULL;
}

static bool terms_are(const struct terms *t, const struct group_config *cfg)
{
    if (t->count != cfg->subscription_count)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        const struct subscription *a = &t->items[i], *b = &cfg->subscriptions[i];
        if (!slice_eq(a->pattern, b->pattern) || a->timeout_ms != b->timeout_ms ||
            a->attempts != b->attempts || a->backoff_count != b->backoff_count ||
            (a->backoff_count &&
             memcmp(a->backoff, b->backoff, a->backoff_count * sizeof(uint64_t)) != 0))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- consumers */

static void keep_put_off(struct consumer *c, const struct put_off *p, int64_t wall_ms)
{
    struct entry *e = entry_new(c, p->seq);
    e->tries = p->tries;
    e->since_ms = wall_ms;
    order_join(e, slice_of(p->key));
    entry_put_off(e);
    e->state = ENTRY_PARKED;
    if (p->due_ms == INT64_MAX)
        return;
    e->due.at_ms = bus_clock_ms();
    if (p->due_ms > wall_ms)
        e->due.at_ms += (uint64_t)(p->due_ms - wall_ms);
}

/*
 * What was put off in an earlier run.  Times count on from here by the clock that nobody sets.
 * Only the first of a key may wait for a time, the others for it.
 */
static void keep_all_put_off(struct consumer *c)
{
    struct op_consumer *op = &c->declare;
    int64_t wall_ms = bus_wall_ms();
    for (size_t i = 0; i < op->put_off_count; i++)
        keep_put_off(c, &op->put_off[i], wall_ms);
    list_each_safe (at, &c->entries) {
        struct entry *e = container_of(at, struct entry, mine);
        if (e->state != ENTRY_PARKED || !order_is_first(e))
            continue;
        if (e->due.at_ms)
            flow_wait(e, e->due.at_ms);
        else
            flow_due(e);
    }
}

static void free_put_off(struct op_consumer *op)
{
    for (size_t i = 0; i < op->put_off_count; i++)
        xfree(op->put_off[i].key);
    xfree(op->put_off);
    op->put_off = NULL;
    op->put_off_count = 0;
}

static void on_declared(struct op *op)
{
    struct consumer *c = container_of(op, struct consumer, declare.op);
    struct bus *bus = c->bus;
    c->declaring = false;
    c->ops--;
    if (op->status == ENGINE_OK && !c->id && !c->gone) {
        c->id = c->declare.id;
        idmap_put(&bus->consumers, c->id, c);
        c->replay = c->declare.open;
        keep_all_put_off(c);
    } else if (op->status == ENGINE_BROKEN) {
        c->declare_again = true;
        IGNORE(bus_repeat_later(bus)); /* when that is does not matter here */
    } else if (op->status != ENGINE_OK) {
        bus_tell(bus, LOG_ERROR, "group \"%s\" cannot read stream \"" SLICE_FMT "\": %s",
                 c->group->name, SLICE_ARG(c->stream->name), op->error);
    }
    free_put_off(&c->declare);
    if (c->gone) {
        consumer_drop_if_idle(c);
        return;
    }
    consumer_was_declared(c, op);
    if (c->declare_again && op->status != ENGINE_BROKEN && !bus->closing)
        consumer_declare(c);
    group_wake(c->group);
}

void consumer_declare(struct consumer *c)
{
    const struct terms *t = c->group->terms;
    if (c->declaring) {
        c->declare_again = true;
        return;
    }
    xfree(c->patterns);
    size_t bytes = 0;
    for (size_t i = 0; i < t->count; i++)
        bytes += t->items[i].pattern.len;
    c->patterns = xmalloc(t->count * sizeof(*c->patterns) + bytes);
    char *at = (char *)(c->patterns + t->count);
    for (size_t i = 0; i < t->count; i++) {
        struct slice from = t->items[i].pattern;
        memcpy(at, from.ptr, from.len);
        c->patterns[i] = (struct slice){at, from.len};
        at += from.len;
    }
    c->declaring = true;
    c->declare_again = false;
    c->ops++;
    struct start start = c->declare.start;
    c->declare = (struct op_consumer){
        .op = {.kind = OP_CONSUMER, .done = on_declared},
        .stream = c->stream->name,
        .name = group_name(c->group),
        .config = SLICE("{}"),
        .patterns = c->patterns,
        .pattern_count = t->count,
        .start = start,
    };
    engine_submit(c->bus->engine, &c->declare.op);
}

static void consumer_new(struct group *g, struct bus_stream *s, struct start start)
{
    struct consumer *c = xcalloc(1, sizeof(*c));
    c->group = g;
    c->bus = g->bus;
    c->stream = s;
    c->declare.start = start;
    c->epoch = 1;
    list_init(&c->entries);
    list_init(&c->due);
    list_init(&c->taking);
    list_add(&g->consumers, &c->node);
    consumer_declare(c);
}

void consumer_drop_if_idle(struct consumer *c)
{
    struct group *g = c->group;
    if (c->ops)
        return;
    list_del(&c->node);
    keymap_deinit(&c->keys);
    idmap_deinit(&c->put_off);
    xfree(c->patterns);
    xfree(c);
    group_free_if_gone(g);
}

void consumer_go_on(struct consumer *c)
{
    if (c->gone)
        consumer_drop_if_idle(c);
    else
        group_wake(c->group);
}

static struct consumer *consumer_in(const struct group *g, const struct bus_stream *s)
{
    list_each (at, &g->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        if (c->stream == s && !c->gone)
            return c;
    }
    return NULL;
}

static bool reads(struct group *g, const struct bus_stream *s)
{
    for (size_t i = 0; i < g->terms->count; i++)
        if (stream_may_have(g->bus, s, g->terms->items[i].pattern))
            return true;
    return false;
}

void group_spread(struct group *g, bool from_first)
{
    if (g->is_queue || g->gone)
        return;
    list_each (at, &g->bus->streams) {
        struct bus_stream *s = container_of(at, struct bus_stream, node);
        if (reads(g, s) && !consumer_in(g, s))
            consumer_new(g, s, from_first ? (struct start){.kind = START_FIRST} : g->start);
    }
}

/* Topics may have got a stream of their own: of that one nothing has been missed yet. */
void groups_spread(struct bus *bus)
{
    list_each (at, &bus->groups)
        group_spread(container_of(at, struct group, node), true);
}

/* ------------------------------------------------------------------- groups */

static struct group *find(struct bus *bus, struct slice name, bool is_queue)
{
    list_each (at, &bus->groups) {
        struct group *g = container_of(at, struct group, node);
        if (!g->gone && g->is_queue == is_queue && slice_is(name, g->name))
            return g;
    }
    return NULL;
}

struct group *bus_find_group(struct bus *bus, struct slice name)
{
    struct group *g = find(bus, name, false);
    if (g)
        return g;
    if (slice_starts(name, SLICE(BUS_QUEUE)))
        g = find(bus, slice_from(name, strlen(BUS_QUEUE)), true);
    return g ? g : find(bus, name, true);
}

static bool check_name(struct slice name, struct err *err)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX) {
        err_set(err, -1, "a group's name has 1 to %d bytes", NAME_BYTES_MAX);
        return false;
    }
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
            err_set(err, -1, "a group's name has no control characters");
            return false;
        }
    return true;
}

static bool check(const struct group_config *cfg, struct err *err)
{
    if (!check_name(cfg->name, err))
        return false;
    if (cfg->subscription_count == 0 || cfg->subscription_count > SUBSCRIPTIONS_MAX) {
        err_set(err, -1, "group \"" SLICE_FMT "\" subscribes to %zu patterns: 1 to %d can be",
                SLICE_ARG(cfg->name), cfg->subscription_count, SUBSCRIPTIONS_MAX);
        return false;
    }
    for (size_t i = 0; i < cfg->subscription_count; i++) {
        const struct subscription *s = &cfg->subscriptions[i];
        const char *why = topic_pattern_check(s->pattern);
        if (!why && (s->attempts < 1 || s->attempts > ATTEMPTS_MAX))
            why = "its attempts are not 1 to 1000";
        if (why) {
            err_set(err, -1,
                    "group \"" SLICE_FMT "\" cannot subscribe to \"" SLICE_FMT "\": %s",
                    SLICE_ARG(cfg->name), SLICE_ARG(s->pattern), why);
            return false;
        }
    }
    return true;
}

static struct group *group_new(struct bus *bus, const struct group_config *cfg)
{
    struct group *g = xcalloc(1, sizeof(*g) + cfg->name.len + 1);
    memcpy(g->name, cfg->name.ptr, cfg->name.len);
    g->bus = bus;
    g->is_queue = cfg->stream.len > 0;
    g->start = cfg->start;
    list_init(&g->woken);
    list_init(&g->consumers);
    list_init(&g->ready);
    list_init(&g->suspects);
    list_init(&g->out);
    list_add(&bus->groups, &g->node);
    return g;
}

/* A queue's jobs are there for whoever comes, however late. */
static bool read_stream(struct group *g, struct slice name, struct err *err)
{
    struct bus_stream *s = stream_find(g->bus, name);
    if (!s && slice_starts(name, SLICE(BUS_QUEUE)))
        s = stream_of_queue(g->bus, slice_from(name, strlen(BUS_QUEUE)));
    if (!s) {
        err_set(err, -1, "group \"%s\": there is no stream \"" SLICE_FMT "\"", g->name,
                SLICE_ARG(name));
        return false;
    }
    if (!consumer_in(g, s))
        consumer_new(g, s, s->limits.work ? (struct start){.kind = START_FIRST} : g->start);
    return true;
}

struct group *bus_group(struct bus *bus, const struct group_config *cfg, struct err *err)
{
    if (!check(cfg, err))
        return NULL;
    struct group *g = find(bus, cfg->name, cfg->stream.len > 0);
    bool is_new = !g;
    if (!is_new && terms_are(g->terms, cfg))
        return g;
    if (is_new)
        g = group_new(bus, cfg);
    terms_drop(g->terms);
    g->terms = terms_new(cfg);
    list_each (at, &g->consumers)
        consumer_declare(container_of(at, struct consumer, node));
    if (g->is_queue && !read_stream(g, cfg->stream, err)) {
        g->gone = is_new;
        group_free_if_gone(g);
        return NULL;
    }
    group_spread(g, false);
    return g;
}

void group_free_if_gone(struct group *g)
{
    if (!g->gone || !list_empty(&g->consumers))
        return;
    list_del(&g->node);
    list_del(&g->woken);
    terms_drop(g->terms);
    xfree(g->numbers.run_us);
    xfree(g->numbers.wait_us);
    xfree(g);
}

void groups_free(struct bus *bus)
{
    while (!list_empty(&bus->groups)) {
        struct group *g = list_first(&bus->groups, struct group, node);
        g->gone = true;
        while (!list_empty(&g->consumers)) {
            struct consumer *c = list_first(&g->consumers, struct consumer, node);
            while (!list_empty(&c->entries))
                entry_forget(list_first(&c->entries, struct entry, mine));
            c->gone = true;
            assert(c->ops == 0);
            bool last = c->node.next == c->node.prev;
            consumer_drop_if_idle(c);
            if (last)
                break; /* the group went with it */
        }
        if (!list_empty(&bus->groups) && list_first(&bus->groups, struct group, node) == g)
            group_free_if_gone(g);
    }
}

void group_serve(struct group *g, const struct group_ops *ops, void *owner, uint32_t most)
{
    assert(ops || g->out_count == 0);
    g->ops = ops;
    g->owner = owner;
    g->most = most;
    group_wake(g);
}

void *group_owner(const struct group *g)
{
    return g->owner;
}

struct slice group_name(const struct group *g)
{
    return slice_of(g->name);
}

uint64_t group_backlog(const struct group *g)
{
    uint64_t n = 0;
    list_each (at, &g->consumers) {
        const struct consumer *c = container_of(at, struct consumer, node);
        n += c->entry_count + (c->credit ? 0 : c->unread);
    }
    return n;
}

void group_resume(struct group *g)
{
    group_wake(g);
}
