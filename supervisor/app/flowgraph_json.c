/*
 * The flow as JSON, and what looks wrong in it: a part of flowgraph.h.
 */
#include <stdio.h>

#include "app/flowgraph.h"
#include "base/json.h"
#include "bus/topic.h"

enum { SLOT_S = 10, DEPTH_MAX = 64, MARKS_MAX = 200 };

/* ----------------------------------------------------------------------------- marks */

struct marking {
    const struct flowgraph *graph;
    struct buf *out;
    unsigned count;
};

static void mark(struct marking *m, const char *kind, const char *topic, const char *program,
                 const char *words)
{
    if (m->count++ >= MARKS_MAX)
        return;
    buf_addf(m->out, "%s{\"kind\":\"%s\",\"topic\":", m->count > 1 ? "," : "", kind);
    json_write(m->out, slice_of(topic));
    if (program) {
        buf_adds(m->out, ",\"program\":");
        json_write(m->out, slice_of(program));
    }
    buf_adds(m->out, ",\"words\":");
    json_write(m->out, slice_of(words));
    buf_addc(m->out, '}');
}

/* Has anybody handled it, in this run or in one before? */
static bool was_handled(const struct flowgraph *g, const struct flow_edge *published)
{
    list_each (at, &g->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (e->kind == EDGE_HANDLED && e->job == published->job &&
            strcmp(e->topic, published->topic) == 0)
            return true;
    }
    return false;
}

/* The first of those that publish it speaks for all of them. */
static bool is_first(const struct flowgraph *g, const struct flow_edge *e)
{
    list_each (at, &g->edges) {
        const struct flow_edge *other = container_of(at, struct flow_edge, node);
        if (other == e)
            return true;
        if (other->kind == EDGE_PUBLISHED && other->job == e->job &&
            strcmp(other->topic, e->topic) == 0)
            return false;
    }
    return true;
}

static void mark_unheard(struct marking *m)
{
    char words[512];
    list_each (at, &m->graph->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (e->kind != EDGE_PUBLISHED || !is_first(m->graph, e) || was_handled(m->graph, e) ||
            flowgraph_is_wanted(m->graph, e->topic, e->job))
            continue;
        snprintf(words, sizeof(words), "nobody handles %s%s, which %s publishes",
                 e->job ? "jobs of " : "", e->topic, e->program);
        mark(m, "unheard", e->topic, e->program, words);
    }
}

static bool is_fed(const struct flowgraph *g, const struct flow_interest *i)
{
    list_each (at, &g->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (e->kind != EDGE_PUBLISHED || e->job != i->job)
            continue;
        if (i->job ? strcmp(i->pattern, e->topic) == 0
                   : topic_matches(slice_of(i->pattern), slice_of(e->topic)))
            return true;
    }
    return false;
}

static void mark_unfed(struct marking *m)
{
    char words[512];
    list_each (at, &m->graph->interests) {
        const struct flow_interest *i = container_of(at, struct flow_interest, node);
        if (is_fed(m->graph, i))
            continue;
        snprintf(words, sizeof(words), "%s waits for %s%s, which nobody has published yet",
                 i->program, i->job ? "jobs of " : "", i->pattern);
        mark(m, "unfed", i->pattern, i->program, words);
    }
}

static void mark_unkeyed(struct marking *m)
{
    char words[600];
    list_each (at, &m->graph->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (e->kind != EDGE_PUBLISHED || !e->keyed || e->keyed >= e->count)
            continue;
        snprintf(words, sizeof(words),
                 "%llu of %llu messages %s that %s published have no key, and so no order",
                 (unsigned long long)(e->count - e->keyed), (unsigned long long)e->count,
                 e->topic, e->program);
        mark(m, "unkeyed", e->topic, e->program, words);
    }
}

/* A way from topic to topic, each of which led to the next. */
struct way {
    const struct flow_edge *steps[DEPTH_MAX];
    size_t count;
    unsigned looks; /* so many edges were looked at: a picture is no place for long searches */
};

enum { LOOKS_MAX = 200000 };

static bool leads_back(const struct flowgraph *g, struct way *way, const char *to)
{
    const struct flow_edge *last = way->steps[way->count - 1];
    if (strcmp(last->to, to) == 0)
        return true;
    if (way->count == DEPTH_MAX)
        return false;
    list_each (at, &g->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (way->looks++ > LOOKS_MAX)
            return false;
        if (e->kind != EDGE_LED || strcmp(e->topic, last->to) != 0)
            continue;
        bool seen = false;
        for (size_t i = 0; i < way->count && !seen; i++)
            seen = way->steps[i] == e;
        if (seen)
            continue;
        way->steps[way->count++] = e;
        if (leads_back(g, way, to))
            return true;
        way->count--;
    }
    return false;
}

/* A circle has as many beginnings as topics: its smallest edge stands for all. */
static bool is_told(const struct way *way)
{
    for (size_t i = 1; i < way->count; i++)
        if (strcmp(way->steps[i]->topic, way->steps[0]->topic) < 0)
            return true;
    return false;
}

static void mark_circles(struct marking *m)
{
    list_each (at, &m->graph->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        struct way way = {.steps = {e}, .count = 1};
        struct buf words = {0};
        if (e->kind != EDGE_LED || !leads_back(m->graph, &way, e->topic) || is_told(&way))
            continue;
        buf_addf(&words, "a circle: %s", e->topic);
        for (size_t i = 0; i < way.count; i++)
            buf_addf(&words, " leads %s to publish %s%s", way.steps[i]->program,
                     way.steps[i]->to, i + 1 < way.count ? ", which" : "");
        mark(m, "circle", e->topic, e->program, buf_cstr(&words));
        buf_deinit(&words);
    }
}

void flowgraph_marks(const struct flowgraph *g, struct buf *out)
{
    struct marking m = {.graph = g, .out = out};
    buf_addc(out, '[');
    mark_unheard(&m);
    mark_unfed(&m);
    mark_unkeyed(&m);
    mark_circles(&m);
    buf_addc(out, ']');
}

/* ------------------------------------------------------------------------------ JSON */

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    json_write(out, slice_of(text));
}

/* In a second, of the slot before and as much as there is of this one. */
static double rate_of(const struct flowgraph *g, const struct flow_edge *e)
{
    uint64_t ms = loop_now(g->events->host.loop) - e->slot_ms;
    if (ms >= 2 * SLOT_S * 1000)
        return 0;
    if (ms >= SLOT_S * 1000)
        return (double)e->now / SLOT_S;
    return (e->before + e->now) / (SLOT_S + (double)ms / 1000);
}

static void add_spans(struct buf *out, const char *name, const struct spans *s)
{
    if (s)
        buf_addf(out, ",\"%s\":{\"p50\":%.3g,\"p99\":%.3g}", name, spans_at(s, 50),
                 spans_at(s, 99));
}

static void add_edge(struct buf *out, const struct flowgraph *g, const struct flow_edge *e)
{
    buf_adds(out, "{\"program\":");
    json_write(out, slice_of(e->program));
    add_text(out, e->job ? "queue" : "topic", e->topic);
    if (e->kind == EDGE_PUBLISHED)
        add_text(out, "stream", e->stream);
    if (e->kind == EDGE_HANDLED)
        add_text(out, "group", e->group);
    if (e->kind == EDGE_LED)
        add_text(out, "to", e->to);
    buf_addf(out, ",\"count\":%llu,\"rate\":%.2f", (unsigned long long)e->count, rate_of(g, e));
    if (e->kind == EDGE_PUBLISHED)
        buf_addf(out, ",\"keyed\":%llu", (unsigned long long)e->keyed);
    if (e->kind == EDGE_HANDLED)
        buf_addf(out, ",\"retries\":%llu,\"dead\":%llu", (unsigned long long)e->failed,
                 (unsigned long long)e->dead);
    add_spans(out, "wait_ms", e->wait);
    add_spans(out, "run_ms", e->run);
    if (e->last_ms)
        buf_addf(out, ",\"last\":%lld", (long long)e->last_ms);
    buf_addc(out, '}');
}

static void add_edges(struct buf *out, const struct flowgraph *g, const char *name,
                      enum edge_kind kind)
{
    const char *before = "\n";
    buf_addf(out, "\"%s\":[", name);
    list_each (at, &g->edges) {
        const struct flow_edge *e = container_of(at, struct flow_edge, node);
        if (e->kind != kind)
            continue;
        buf_adds(out, before);
        add_edge(out, g, e);
        before = ",\n";
    }
    buf_adds(out, "],\n");
}

static void add_interests(struct buf *out, const struct flowgraph *g)
{
    const char *before = "\n";
    buf_adds(out, "\"subscriptions\":[");
    list_each (at, &g->interests) {
        const struct flow_interest *i = container_of(at, struct flow_interest, node);
        buf_addf(out, "%s{\"program\":", before);
        json_write(out, slice_of(i->program));
        add_text(out, i->job ? "queue" : "topic", i->pattern);
        add_text(out, "group", i->group);
        buf_addf(out, "%s}", i->each ? ",\"each\":true" : "");
        before = ",\n";
    }
    buf_adds(out, "],\n");
}

void flowgraph_describe(struct flowgraph *g, struct buf *out)
{
    buf_adds(out, "{");
    add_edges(out, g, "published", EDGE_PUBLISHED);
    add_edges(out, g, "handled", EDGE_HANDLED);
    add_edges(out, g, "led", EDGE_LED);
    add_interests(out, g);
    buf_adds(out, "\"marks\":");
    flowgraph_marks(g, out);
    buf_addf(out, ",\"left_out\":%llu}\n", (unsigned long long)g->left_out);
}
