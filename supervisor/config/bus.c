#include "config/bus.h"

#include <stdio.h>

#include "base/json.h"
#include "base/topic.h"
#include "config/check.h"
#include "config/discover.h"
#include "config/settings.h"
#include "config/value.h"

enum { NAMES_MAX = 1024, BACKOFFS_MAX = 64, KEY_MAX = 200 };

static const char *const default_backoff[] = {"1s", "5s", "30s", "2m", "10m", "1h"};

/* Names that nodey itself has for streams. */
static const char *const own_streams[] = {"events", "dead"};

static struct toml_place place_of(const struct toml_node *table, const char *key)
{
    const struct toml_node *node = toml_get(table, key);
    return node ? node->at : table->at;
}

static int fail_quoted(const struct reader *r, struct toml_place at, const char *what,
                       const char *text, const char *why)
{
    return reader_fail(r, at, "%s %s: %s", what, value_quote(r->arena, slice_of(text)), why);
}

/* ----------------------------------------------------------------- what all have */

static int check_backoff(const struct reader *r, const struct toml_node *table,
                         const struct string_list *backoff)
{
    const struct toml_node *node = toml_get(table, "backoff");
    uint64_t us;
    if (node && (backoff->count == 0 || backoff->count > BACKOFFS_MAX))
        return reader_fail(r, node->at, "backoff must hold 1 to %d durations", BACKOFFS_MAX);
    for (size_t i = 0; node && i < backoff->count; i++)
        if (value_duration(slice_of(backoff->items[i]), false, &us) != VALUE_GOOD)
            return reader_fail(r, check_item_place(node, i),
                               "backoff must hold durations such as \"1s\" or \"5m\", not %s",
                               value_quote(r->arena, slice_of(backoff->items[i])));
    return 0;
}

static int check_patterns(const struct reader *r, const struct toml_node *node,
                          const struct string_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const char *why = topic_pattern_check(slice_of(patterns->items[i]));
        if (why)
            return fail_quoted(r, check_item_place(node, i), node->key.ptr, patterns->items[i],
                               why);
    }
    return 0;
}

/* ------------------------------------------------------------------------- [bus] */

static int load_bus(struct config *c, const struct document *doc)
{
    const struct reader *r = &doc->reader;
    const struct toml_node *table = doc->root ? toml_get(doc->root, "bus") : NULL;
    reader_defaults(r, &section_bus, &c->bus);
    c->bus.backoff = string_list_of(r->arena, default_backoff, ARRAY_LEN(default_backoff));
    if (!table)
        return 0;
    c->bus.configured = true;
    if (reader_section(r, &section_bus, table, section_bus.title, &c->bus) < 0)
        return r->err->code;
    return check_backoff(r, table, &c->bus.backoff);
}

/* --------------------------------------------------------------------- [streams] */

static bool takes(const struct toml_node *table, const char *key)
{
    return toml_get(table, key) != NULL;
}

/* A topic goes to one stream: two that want it are a mistake that would be found too late. */
static int check_overlap(const struct reader *r, const struct toml_node *topics,
                         const struct config *c, const struct stream_config *new)
{
    for (size_t i = 0; i < new->topics.count; i++)
        for (size_t j = 0; j < c->stream_count; j++)
            for (size_t k = 0; k < c->streams[j].topics.count; k++) {
                const char *mine = new->topics.items[i], *other = c->streams[j].topics.items[k];
                if (topic_patterns_overlap(slice_of(mine), slice_of(other)))
                    return reader_fail(r, check_item_place(topics, i),
                                       "topics \"%s\" of [streams.%s] and \"%s\" of "
                                       "[streams.%s] overlap: a topic goes to one stream",
                                       mine, new->name, other, c->streams[j].name);
            }
    return 0;
}

static int check_stream(const struct reader *r, const struct toml_node *table,
                        const struct config *c, const struct stream_config *s)
{
    const struct toml_node *topics = toml_get(table, "topics");
    for (size_t i = 0; i < ARRAY_LEN(own_streams); i++)
        if (strcmp(s->name, own_streams[i]) == 0)
            return reader_fail(r, table->key_at,
                               "[streams.%s]: that stream is there anyway, and has the limits "
                               "of [bus]: use another name",
                               s->name);
    if (strncmp(s->name, "queue.", 6) == 0)
        return reader_fail(r, table->key_at, "[streams.%s]: queues are written [queues.%s]",
                           s->name, s->name + 6);
    if (!s->topics.count)
        return reader_fail(r, topics ? topics->at : table->at,
                           "[streams.%s] needs topics: topics = [\"%s.>\"]", s->name, s->name);
    if (check_patterns(r, topics, &s->topics) < 0)
        return r->err->code;
    return check_overlap(r, topics, c, s);
}

static int load_stream(struct config *c, const struct reader *r, const struct toml_node *table)
{
    char title[96];
    struct stream_config *s = &c->streams[c->stream_count];
    *s = (struct stream_config){.name = table->key.ptr};
    reader_defaults(r, &section_stream, s);
    snprintf(title, sizeof(title), "[streams.%s]", s->name);
    if (reader_section(r, &section_stream, table, title, s) < 0 ||
        check_stream(r, table, c, s) < 0)
        return r->err->code;
    s->durability = takes(table, "durability") ? s->durability : c->bus.durability;
    s->max_bytes = takes(table, "max_bytes") ? s->max_bytes : c->bus.max_bytes;
    s->max_age = takes(table, "max_age") ? s->max_age : c->bus.max_age;
    s->dedupe_window = takes(table, "dedupe_window") ? s->dedupe_window : c->bus.dedupe_window;
    c->stream_count++;
    return 0;
}

/* ---------------------------------------------------------------------- [queues] */

static int load_queue(struct config *c, const struct reader *r, const struct toml_node *table)
{
    char title[300];
    struct queue_config *q = &c->queues[c->queue_count];
    *q = (struct queue_config){.name = table->key.ptr};
    reader_defaults(r, &section_queue, q);
    snprintf(title, sizeof(title), "[queues.%s]", q->name);
    if (reader_section(r, &section_queue, table, title, q) < 0 ||
        check_backoff(r, table, &q->backoff) < 0)
        return r->err->code;
    q->durability = takes(table, "durability") ? q->durability : c->bus.durability;
    q->max_bytes = takes(table, "max_bytes") ? q->max_bytes : c->bus.max_bytes;
    q->dedupe_window = takes(table, "dedupe_window") ? q->dedupe_window : c->bus.dedupe_window;
    c->queue_count++;
    return 0;
}

/* -------------------------------------------------------------------- [schedule] */

static bool is_json(struct slice text)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, text);
    return json_scan_value(&scan, &value) && json_scan_done(&scan) && !scan.dirty;
}

static int fail_pair(const struct reader *r, const struct toml_node *table, const char *name,
                     const char *first, const char *second)
{
    const struct toml_node *other = toml_get(table, second);
    if (other && toml_get(table, first))
        return reader_fail(r, other->key_at, "[schedule.%s] has %s and %s: one of them must go",
                           name, first, second);
    return reader_fail(r, table->at, "[schedule.%s] needs %s or %s", name, first, second);
}

static int check_schedule(const struct reader *r, const struct toml_node *table,
                          const struct schedule_config *s)
{
    const char *why;
    if (!s->cron == !s->every)
        return fail_pair(r, table, s->name, "cron", "every");
    if (!s->topic == !s->queue)
        return fail_pair(r, table, s->name, "publish", "enqueue");
    if (s->topic && (why = topic_check(slice_of(s->topic))))
        return fail_quoted(r, place_of(table, "publish"), "publish", s->topic, why);
    if (s->queue && (why = topic_check(slice_of(s->queue))))
        return fail_quoted(r, place_of(table, "enqueue"), "enqueue", s->queue, why);
    if (s->key && strlen(s->key) > KEY_MAX)
        return reader_fail(r, place_of(table, "key"), "key must not be longer than %d bytes",
                           KEY_MAX);
    if (s->data && !is_json(slice_of(s->data)))
        return reader_fail(r, place_of(table, "data"),
                           "data must be JSON, such as '{\"kind\": \"weekly\"}', not %s",
                           value_quote(r->arena, slice_of(s->data)));
    return 0;
}

static int load_schedule(struct config *c, const struct reader *r,
                         const struct toml_node *table)
{
    char title[96];
    struct schedule_config *s = &c->schedules[c->schedule_count];
    *s = (struct schedule_config){.name = table->key.ptr};
    reader_defaults(r, &section_schedule, s);
    snprintf(title, sizeof(title), "[schedule.%s]", s->name);
    if (reader_section(r, &section_schedule, table, title, s) < 0 ||
        check_schedule(r, table, s) < 0)
        return r->err->code;
    c->schedule_count++;
    return 0;
}

/* -------------------------------------------------------------------------- all */

struct kind {
    const char *key, *noun;
    int (*load)(struct config *, const struct reader *, const struct toml_node *);
};

static const struct kind kinds[] = {{"streams", "stream", load_stream},
                                    {"queues", "queue", load_queue},
                                    {"schedule", "schedule", load_schedule}};

static const struct toml_node *sections_of(const struct document *doc, const struct kind *kind)
{
    return doc->root ? toml_get(doc->root, kind->key) : NULL;
}

/* One that stands in another file, too. */
static const struct toml_node *find_earlier(const struct documents *docs, size_t before,
                                            const struct kind *kind, struct slice name)
{
    const struct toml_node *found = NULL;
    for (size_t i = 0; i < before && !found; i++) {
        const struct toml_node *all = sections_of(docs->items[i], kind);
        found = all ? toml_get(all, name.ptr) : NULL;
    }
    return found;
}

static int check_name(const struct reader *r, const struct kind *kind,
                      const struct toml_node *table, const struct toml_node *earlier)
{
    const char *quoted = value_quote(r->arena, table->key);
    bool dotted = strcmp(kind->key, "queues") == 0;
    if (table->type != TOML_TABLE)
        return reader_fail(r, table->key_at,
                           "unknown key %s in [%s]; every %s has a section of its own, "
                           "[%s.NAME]",
                           quoted, kind->key, kind->noun, kind->key);
    if (dotted ? topic_check(table->key) != NULL : !worker_name_valid(table->key))
        return reader_fail(r, table->key_at,
                           "%s is no name for a %s: use letters, digits, \"_\", \"-\", and "
                           "\".\" between",
                           quoted, kind->noun);
    if (earlier)
        return reader_fail(r, table->key_at, "[%s.%s] stands in another file too: rename one",
                           kind->key, table->key.ptr);
    return 0;
}

static int load_kind(struct config *c, const struct documents *docs, const struct kind *kind)
{
    for (size_t i = 0; i < docs->count; i++) {
        const struct reader *r = &docs->items[i]->reader;
        const struct toml_node *all = sections_of(docs->items[i], kind);
        const struct toml_node *table = all ? all->items.first : NULL;
        for (; table; table = table->next) {
            const struct toml_node *earlier = find_earlier(docs, i, kind, table->key);
            c->bus.configured = true;
            if (check_name(r, kind, table, earlier) < 0 || kind->load(c, r, table) < 0)
                return r->err->code;
        }
    }
    return 0;
}

static size_t count_sections(const struct documents *docs, const struct kind *kind)
{
    size_t count = 0;
    for (size_t i = 0; i < docs->count; i++) {
        const struct toml_node *all = sections_of(docs->items[i], kind);
        count += all ? all->items.count : 0;
    }
    return count;
}

int bus_load(struct config *c, const struct documents *docs, struct err *err)
{
    size_t counts[ARRAY_LEN(kinds)];
    int code = load_bus(c, docs->items[0]);
    for (size_t i = 0; i < ARRAY_LEN(kinds) && code == 0; i++) {
        counts[i] = count_sections(docs, &kinds[i]);
        if (counts[i] > NAMES_MAX)
            return err_set(err, -1, "more than %d [%s.NAME]", NAMES_MAX, kinds[i].key);
    }
    if (code < 0)
        return code;
    c->streams = arena_alloc(&c->arena, counts[0] * sizeof(*c->streams));
    c->queues = arena_alloc(&c->arena, counts[1] * sizeof(*c->queues));
    c->schedules = arena_alloc(&c->arena, counts[2] * sizeof(*c->schedules));
    for (size_t i = 0; i < ARRAY_LEN(kinds) && code == 0; i++)
        code = load_kind(c, docs, &kinds[i]);
    return code;
}

/* ------------------------------------------------------------------------ routes */

/* Such a route takes one method: said or not, it is this. */
static int set_method(const struct reader *r, const struct toml_node *table,
                      struct route_config *route, const char *method, const char *key)
{
    for (size_t i = 0; i < route->methods.count; i++)
        if (strcmp(route->methods.items[i], method) != 0)
            return reader_fail(
                r, place_of(table, takes(table, "method") ? "method" : "methods"),
                "a route with %s takes %s, not %s", key, method, route->methods.items[i]);
    route->methods = string_list_of(r->arena, (const char *const[]){method}, 1);
    return 0;
}

int bus_check_route(const struct reader *r, const struct toml_node *table,
                    struct route_config *route)
{
    static const char *const others[] = {"cache", "cache_headers", "index", "spa",
                                         "cache_control"};
    const char *key = takes(table, "publish") ? "publish" : "events";
    const struct toml_node *node = toml_get(table, key);
    const struct string_list *patterns =
        takes(table, "publish") ? &route->publish : &route->events;
    size_t len = strlen(route->path);
    if (takes(table, "publish") && takes(table, "events"))
        return reader_fail(r, place_of(table, "events"),
                           "a route publishes, or streams events: make two of it");
    if (!patterns->count)
        return reader_fail(r, node->at, "%s must name topics: %s = [\"comment.*\"]", key, key);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (takes(table, others[i]))
            return reader_fail(r, toml_get(table, others[i])->key_at,
                               "%s belongs to other routes, and this one has %s", others[i],
                               key);
    if (strcmp(key, "publish") == 0 && (len < 2 || strcmp(route->path + len - 2, "/*") != 0))
        return reader_fail(r, place_of(table, "path"),
                           "path %s of a route with publish must end in \"/*\", which is the "
                           "topic",
                           value_quote(r->arena, slice_of(route->path)));
    if (check_patterns(r, node, patterns) < 0)
        return r->err->code;
    return set_method(r, table, route, strcmp(key, "publish") == 0 ? "POST" : "GET", key);
}
