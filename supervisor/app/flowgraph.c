#include "app/flowgraph.h"

#include <time.h>

#include "bus/topic.h"

enum { SLOT_MS = 10000, JOBS_AT = 6 };

static const struct slice queue_prefix = {"queue.", JOBS_AT};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --------------------------------------------------------------------------- times */

/* Four steps for each power of two, below four each number its own. */
static unsigned step_of(uint64_t us)
{
    if (us < 4)
        return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    return MIN((power - 1) * 4 + (unsigned)(us >> (power - 2) & 3), FLOWGRAPH_STEPS - 1u);
}

/* The middle of a step. */
static double us_of(unsigned step)
{
    if (step < 4)
        return step;
    double low = (double)(UINT64_C(1) << (step / 4 - 1)) * (4 + step % 4);
    return low * (1 + 0.5 / (4 + step % 4));
}

static void spans_add(struct spans **s, uint64_t ms)
{
    if (!*s)
        *s = xcalloc(1, sizeof(**s));
    (*s)->steps[step_of(ms * 1000)]++;
    (*s)->count++;
}

double spans_at(const struct spans *s, unsigned percent)
{
    uint64_t seen = 0;
    for (unsigned i = 0; s && i < FLOWGRAPH_STEPS; i++) {
        seen += s->steps[i];
        if (seen * 100 >= s->count * percent)
            return us_of(i) / 1000;
    }
    return 0;
}

/* --------------------------------------------------------------------------- edges */

static uint64_t hash_edge(const struct flowgraph *g, const struct flow_edge *e)
{
    const char *const words[] = {e->program, e->topic, e->group, e->to};
    uint64_t hash = (uint64_t)e->kind * 2 + e->job;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        hash =
            hash * 1099511628211u + (words[i] ? siphash(&g->hash_key, slice_of(words[i])) : i);
    return hash;
}

static bool is_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_edge(const struct flow_edge *a, const struct flow_edge *b)
{
    return a->kind == b->kind && a->job == b->job && is_text(a->program, b->program) &&
           is_text(a->topic, b->topic) && is_text(a->group, b->group) && is_text(a->to, b->to);
}

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static void on_save(struct timer *);

/* A new shape is kept soon, mere numbers when there is time. */
static void save_later(struct flowgraph *g, bool is_new)
{
    enum { SOON_MS = 1000, SOME_TIME_MS = 60000 };

    g->changed = true;
    if (g->path && (is_new || !timer_runs(&g->save)))
        timer_start(g->events->host.loop, &g->save, is_new ? SOON_MS : SOME_TIME_MS, on_save);
}

struct flow_edge *flowgraph_edge(struct flowgraph *g, const struct flow_edge *names)
{
    uint64_t hash = hash_edge(g, names);
    for (struct keymap_node *at = keymap_find(&g->names, hash); at; at = keymap_next(at)) {
        struct flow_edge *e = container_of(at, struct flow_edge, by_name);
        if (is_edge(e, names))
            return e;
    }
    if (g->edge_count == FLOWGRAPH_EDGES)
        return NULL;
    struct flow_edge *e = xcalloc(1, sizeof(*e));
    *e = (struct flow_edge){.kind = names->kind,
                            .job = names->job,
                            .program = copy(names->program),
                            .topic = copy(names->topic),
                            .group = copy(names->group),
                            .to = copy(names->to),
                            .stream = copy(names->stream)};
    list_add(&g->edges, &e->node);
    keymap_add(&g->names, &e->by_name, hash);
    g->edge_count++;
    save_later(g, /* is_new= */ true);
    return e;
}

static void edge_free(struct flow_edge *e)
{
    xfree(e->program);
    xfree(e->topic);
    xfree(e->group);
    xfree(e->to);
    xfree(e->stream);
    xfree(e->wait);
    xfree(e->run);
    xfree(e);
}

static void count(struct flowgraph *g, struct flow_edge *e)
{
    uint64_t now = loop_now(g->events->host.loop);
    uint64_t slots = (now - e->slot_ms) / SLOT_MS;
    if (slots) {
        e->before = slots == 1 ? e->now : 0;
        e->now = 0;
        e->slot_ms += slots * SLOT_MS;
    }
    e->now++;
    e->count++;
    e->last_ms = wall_ms();
    save_later(g, /* is_new= */ false);
}

/* ------------------------------------------------------------------- what led to it */

static uint64_t hash_id(const struct flowgraph *g, struct slice id)
{
    return siphash(&g->hash_key, id) | 1;
}

/* Which topic an id is of, until as many others have come. */
static void remember(struct flowgraph *g, const struct message *m, struct flow_edge *topic)
{
    char text[MESSAGE_ID_MAX + 1];
    uint64_t id = hash_id(g, message_id(m, text));
    if (!g->recent)
        g->recent = xcalloc(FLOWGRAPH_RECENT, sizeof(*g->recent));
    g->recent[id % FLOWGRAPH_RECENT] = (struct recent){id, topic};
}

static void note_cause(struct flowgraph *g, const struct message *m,
                       const struct flow_edge *out)
{
    if (!m->cause.len || !g->recent)
        return;
    uint64_t id = hash_id(g, m->cause);
    const struct recent *r = &g->recent[id % FLOWGRAPH_RECENT];
    if (r->id != id)
        return;
    struct flow_edge *led = flowgraph_edge(g, &(struct flow_edge){.kind = EDGE_LED,
                                                                  .job = r->topic->job,
                                                                  .program = out->program,
                                                                  .topic = r->topic->topic,
                                                                  .to = out->topic});
    if (led)
        count(g, led);
}

/* ------------------------------------------------------------------------- observing */

/* A name of a message ends with a NUL in here. */
struct word {
    char text[TOPIC_MAX + 1];
};

static char *word_of(struct word *w, struct slice s)
{
    size_t len = MIN(s.len, (size_t)TOPIC_MAX);
    if (len)
        memcpy(w->text, s.ptr, len);
    w->text[len] = '\0';
    return w->text;
}

/* Dead letters are no facts that anybody states, and a time table is nodey's own. */
static bool is_drawn(const struct message *m)
{
    return !slice_is(m->stream, "dead") && !slice_is(m->stream, "schedules") && !m->only.len;
}

static struct flow_edge *published(struct flowgraph *g, const struct message *m)
{
    struct word program, topic, stream;
    return flowgraph_edge(
        g, &(struct flow_edge){
               .kind = EDGE_PUBLISHED,
               .job = slice_starts(m->stream, queue_prefix),
               .program = word_of(&program, m->origin.len ? m->origin : SLICE("unknown")),
               .topic = word_of(&topic, m->topic),
               .stream = word_of(&stream, m->stream),
           });
}

static void on_stored(struct events_watcher *watcher, const struct message *m)
{
    struct flowgraph *g = container_of(watcher, struct flowgraph, watcher);
    if (!is_drawn(m))
        return;
    struct flow_edge *e = published(g, m);
    if (!e) {
        g->left_out++;
        return;
    }
    count(g, e);
    e->keyed += m->key.len > 0;
    note_cause(g, m, e);
    remember(g, m, e);
}

static void on_settled(struct events_watcher *watcher, const struct events_end *end)
{
    struct flowgraph *g = container_of(watcher, struct flowgraph, watcher);
    const struct message *m = end->delivery->message;
    struct word topic, group;
    struct flow_edge *e =
        flowgraph_edge(g, &(struct flow_edge){
                              .kind = EDGE_HANDLED,
                              .job = slice_starts(m->stream, queue_prefix),
                              .program = (char *)end->program,
                              .topic = word_of(&topic, m->topic),
                              .group = word_of(&group, group_name(end->delivery->group)),
                          });
    if (!e) {
        g->left_out++;
        return;
    }
    bool failed = end->error[0] != '\0';
    spans_add(&e->wait, end->waited_ms);
    spans_add(&e->run, end->ran_ms);
    e->dead += end->dead;
    e->failed += failed && !end->dead;
    if (!failed)
        count(g, e);
    struct flow_edge *topic_edge = published(g, m); /* its outputs come after this */
    if (topic_edge)
        remember(g, m, topic_edge);
}

/* ------------------------------------------------------------------------- interests */

static void interest_free(struct flow_interest *i)
{
    list_del(&i->node);
    xfree(i->program);
    xfree(i->pattern);
    xfree(i->group);
    xfree(i);
}

static void on_removed(struct events_watcher *watcher, const struct pool *pool)
{
    struct flowgraph *g = container_of(watcher, struct flowgraph, watcher);
    list_each_safe (at, &g->interests) {
        struct flow_interest *i = container_of(at, struct flow_interest, node);
        if (strcmp(i->program, pool->config->name) == 0)
            interest_free(i);
    }
}

void flowgraph_ready(struct flowgraph *g, const struct pool *pool, const struct worker *w)
{
    if (!worker_has(w, FEATURE_EVENTS))
        return;
    on_removed(&g->watcher, pool);
    for (size_t n = 0; n < w->ready.subscription_count; n++) {
        const struct ready_subscription *s = &w->ready.subscriptions[n];
        struct slice own = slice_of(pool->config->name);
        struct slice group = s->job ? s->topic : s->group.len ? s->group : own;
        struct flow_interest *i = xcalloc(1, sizeof(*i));
        *i = (struct flow_interest){.program = xstrdup(pool->config->name),
                                    .pattern = xstrndup(s->topic.ptr, s->topic.len),
                                    .group = xstrndup(group.ptr, group.len),
                                    .job = s->job,
                                    .each = s->each};
        list_add(&g->interests, &i->node);
    }
}

bool flowgraph_is_wanted(const struct flowgraph *g, const char *topic, bool job)
{
    list_each (at, &g->interests) {
        const struct flow_interest *i = container_of(at, struct flow_interest, node);
        if (i->job != job)
            continue;
        if (job ? strcmp(i->pattern, topic) == 0
                : topic_matches(slice_of(i->pattern), slice_of(topic)))
            return true;
    }
    return false;
}

/* -------------------------------------------------------------------------- its life */

static void on_save(struct timer *timer)
{
    flowgraph_keep(container_of(timer, struct flowgraph, save));
}

void flowgraph_init(struct flowgraph *g, struct events *events)
{
    *g = (struct flowgraph){
        .watcher = {.stored = on_stored, .settled = on_settled, .removed = on_removed},
        .events = events,
        .hash_key = siphash_key_new()};
    list_init(&g->edges);
    list_init(&g->interests);
    events_watch(events, &g->watcher);
    if (events->host.is_private || (*events->host.config)->bus.dir)
        return;
    g->path = xasprintf("%s/bus/flow.json", (*events->host.config)->server.data_dir);
    flowgraph_load(g);
    g->changed = false;
    timer_stop(events->host.loop, &g->save);
}

void flowgraph_close(struct flowgraph *g)
{
    timer_stop(g->events->host.loop, &g->save);
    flowgraph_keep(g);
}

void flowgraph_deinit(struct flowgraph *g)
{
    list_each_safe (at, &g->edges) {
        struct flow_edge *e = container_of(at, struct flow_edge, node);
        list_del(&e->node);
        edge_free(e);
    }
    list_each_safe (at, &g->interests)
        interest_free(container_of(at, struct flow_interest, node));
    keymap_deinit(&g->names);
    xfree(g->recent);
    xfree(g->path);
}
