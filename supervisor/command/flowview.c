#include "command/flowview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/topic.h"

const char *flow_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int append(const char *bytes, size_t len, void *arg)
{
    buf_append(arg, bytes, len);
    return 0;
}

void flow_dump(const json_t *value, struct buf *out)
{
    IGNORE(json_dump_callback(value, append, out, JSON_ENCODE_ANY | JSON_COMPACT));
}

/* The topic of an edge, or its queue; *job says which. */
static const char *topic_of(const json_t *edge, bool *job)
{
    const char *queue = json_string_value(json_object_get(edge, "queue"));
    *job = queue != NULL;
    return queue ? queue : flow_text(edge, "topic");
}

static bool matches(const char *pattern, const char *topic, bool job)
{
    if (job)
        return strcmp(pattern, topic) == 0;
    return !topic_pattern_check(slice_of(pattern)) && !topic_check(slice_of(topic)) &&
           topic_matches(slice_of(pattern), slice_of(topic));
}

/* ------------------------------------------------------------------------------ ways */

static void add(struct flow_ways *w, const struct flow_way *way)
{
    if ((w->count & (w->count - 1)) == 0)
        w->items = xrealloc(w->items, MAX(w->count * 2, 1u) * sizeof(*w->items));
    w->items[w->count++] = *way;
}

/* What has been handled of a topic; NULL: nothing by this group. */
static const json_t *handled_by(const json_t *flow, const struct flow_way *way)
{
    size_t n;
    const json_t *edge;
    json_array_foreach(json_object_get(flow, "handled"), n, edge)
    {
        bool job;
        if (strcmp(topic_of(edge, &job), way->topic) == 0 && job == way->job &&
            strcmp(flow_text(edge, "group"), way->group) == 0 &&
            strcmp(flow_text(edge, "program"), way->program) == 0)
            return edge;
    }
    return NULL;
}

static bool has(const struct flow_ways *w, size_t from, const struct flow_way *way)
{
    for (size_t i = from; i < w->count; i++)
        if (strcmp(w->items[i].program, way->program) == 0 &&
            strcmp(w->items[i].group, way->group) == 0)
            return true;
    return false;
}

/* Who gets this topic: whoever says so now, and whoever did before. */
static void add_receivers(struct flow_ways *w, const json_t *flow, const struct flow_way *start)
{
    size_t n, from = w->count;
    const json_t *edge;
    struct flow_way way = *start;
    bool job;
    json_array_foreach(json_object_get(flow, "subscriptions"), n, edge)
    {
        const char *pattern = topic_of(edge, &job);
        if (job != way.job || !matches(pattern, way.topic, job))
            continue;
        way.program = flow_text(edge, "program");
        way.group = flow_text(edge, "group");
        way.each = json_is_true(json_object_get(edge, "each"));
        way.counted = handled_by(flow, &way);
        if (!has(w, from, &way))
            add(w, &way);
    }
    way.each = false;
    json_array_foreach(json_object_get(flow, "handled"), n, edge)
    {
        if (strcmp(topic_of(edge, &job), way.topic) != 0 || job != way.job)
            continue;
        way.program = flow_text(edge, "program");
        way.group = flow_text(edge, "group");
        way.counted = edge;
        if (!has(w, from, &way))
            add(w, &way);
    }
    if (w->count == from)
        add(w, start);
}

static bool is_fed(const struct flow_ways *w, const char *pattern, bool job)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->items[i].from && w->items[i].job == job &&
            matches(pattern, w->items[i].topic, job))
            return true;
    return false;
}

void flow_ways_read(struct flow_ways *w, const json_t *flow)
{
    size_t n;
    const json_t *edge;
    *w = (struct flow_ways){0};
    json_array_foreach(json_object_get(flow, "published"), n, edge)
    {
        struct flow_way way = {.from = flow_text(edge, "program")};
        way.topic = topic_of(edge, &way.job);
        add_receivers(w, flow, &way);
    }
    json_array_foreach(json_object_get(flow, "subscriptions"), n, edge)
    {
        struct flow_way way = {.program = flow_text(edge, "program"),
                               .group = flow_text(edge, "group"),
                               .each = json_is_true(json_object_get(edge, "each"))};
        way.topic = topic_of(edge, &way.job);
        if (!is_fed(w, way.topic, way.job))
            add(w, &way);
    }
}

void flow_ways_deinit(struct flow_ways *w)
{
    xfree(w->items);
    *w = (struct flow_ways){0};
}

/* --------------------------------------------------------------------------- pictures */

/* Names of nodes: all bytes that a picture's language might take for its own are replaced. */
static void add_node(struct buf *out, const char *kind, const char *name)
{
    buf_addf(out, "%s_", kind);
    for (const char *c = name; *c; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (plain)
            buf_addc(out, *c);
        else
            buf_addf(out, "_%02x", (unsigned char)*c);
    }
}

static bool came_before(const struct flow_ways *w, size_t at, size_t what)
{
    const struct flow_way *a = &w->items[at];
    for (size_t i = 0; i < at; i++) {
        const struct flow_way *b = &w->items[i];
        bool same = a->job == b->job && strcmp(a->topic, b->topic) == 0;
        if (what == 0 && same)
            return true;
        if (what == 1 && same && a->from && b->from && strcmp(a->from, b->from) == 0)
            return true;
        if (what == 2 && same && a->program && b->program &&
            strcmp(a->program, b->program) == 0 && strcmp(a->group, b->group) == 0)
            return true;
    }
    return false;
}

enum { WHAT_TOPIC, WHAT_FROM, WHAT_TO };

static void write_picture(const struct flow_ways *w, bool dot, struct buf *out)
{
    const char *arrow = dot ? " -> " : " --> ";
    for (size_t i = 0; i < w->count; i++) {
        const struct flow_way *way = &w->items[i];
        const char *kind = way->job ? "queue" : "topic";
        if (!came_before(w, i, WHAT_TOPIC)) {
            buf_adds(out, "  ");
            add_node(out, kind, way->topic);
            if (dot)
                buf_addf(out, " [label=\"%s\" shape=%s]\n", way->topic,
                         way->job ? "cylinder" : "plain");
            else
                buf_addf(out, "%s\"%s\"%s\n", way->job ? "[(" : "([", way->topic,
                         way->job ? ")]" : "])");
        }
        if (way->from && !came_before(w, i, WHAT_FROM)) {
            buf_adds(out, "  ");
            add_node(out, "program", way->from);
            buf_addf(out, dot ? "%s" : "[\"%s\"]", dot ? "" : way->from);
            buf_adds(out, arrow);
            add_node(out, kind, way->topic);
            buf_addc(out, '\n');
        }
        if (!way->program || came_before(w, i, WHAT_TO))
            continue;
        bool own = way->job || strcmp(way->group, way->program) == 0;
        buf_adds(out, "  ");
        add_node(out, kind, way->topic);
        if (dot || own)
            buf_adds(out, arrow);
        else
            buf_addf(out, " -- \"%s\" --> ", way->group);
        add_node(out, "program", way->program);
        if (dot && !own)
            buf_addf(out, " [label=\"%s\"]", way->group);
        else if (!dot)
            buf_addf(out, "[\"%s\"]", way->program);
        buf_addc(out, '\n');
    }
}

void flow_write_mermaid(const struct flow_ways *w, struct buf *out)
{
    buf_adds(out, "flowchart LR\n");
    write_picture(w, /* dot= */ false, out);
}

/* Their nodes are declared by their names. */
static void declare_programs(const struct flow_ways *w, struct buf *out)
{
    for (size_t i = 0; i < w->count; i++) {
        const char *const names[] = {w->items[i].from, w->items[i].program};
        for (size_t n = 0; n < ARRAY_LEN(names); n++) {
            if (!names[n])
                continue;
            buf_adds(out, "  ");
            add_node(out, "program", names[n]);
            buf_addf(out, " [label=\"%s\" shape=box]\n", names[n]);
        }
    }
}

void flow_write_dot(const struct flow_ways *w, struct buf *out)
{
    buf_adds(out, "digraph flow {\n  rankdir=LR\n");
    declare_programs(w, out);
    write_picture(w, /* dot= */ true, out);
    buf_adds(out, "}\n");
}

/* ------------------------------------------------------------------------------- facts */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *fact_of(const json_t *edge, const char *kind)
{
    bool job;
    const char *topic = topic_of(edge, &job), *program = flow_text(edge, "program");
    const char *of = job ? "jobs of " : "";
    if (strcmp(kind, "published") == 0)
        return xasprintf("%s publishes %s%s", program, of, topic);
    return xasprintf("%s %s %s%s in group %s", program,
                     strcmp(kind, "handled") == 0 ? "handles" : "subscribes to", of, topic,
                     flow_text(edge, "group"));
}

json_t *flow_facts(const json_t *flow)
{
    static const char *const kinds[] = {"published", "handled", "subscriptions"};
    size_t count = 0, n, cap = 0;
    const json_t *edge;
    char **facts = NULL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        json_array_foreach(json_object_get(flow, kinds[i]), n, edge)
        {
            if (count == cap)
                facts = xrealloc(facts, (cap = MAX(cap * 2, 16u)) * sizeof(*facts));
            facts[count++] = fact_of(edge, kinds[i]);
        }
    if (count)
        qsort(facts, count, sizeof(*facts), compare);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(facts[i], facts[i - 1]) != 0)
            json_array_append_new(array, json_string(facts[i]));
    for (size_t i = 0; i < count; i++)
        xfree(facts[i]);
    xfree(facts);
    return array;
}
