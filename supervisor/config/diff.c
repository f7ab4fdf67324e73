#include "config/diff.h"

#include "config/settings.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(const struct string_list *a, const struct string_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

/* The order of variables has no meaning, and none of them stands twice. */
static bool same_env(const struct string_list *a, const struct string_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        size_t j = i < b->count && strcmp(a->items[i], b->items[i]) == 0 ? i : 0;
        while (j < b->count && strcmp(a->items[i], b->items[j]) != 0)
            j++;
        same = j < b->count;
    }
    return same;
}

static bool same_dependencies(const struct dependency_list *a, const struct dependency_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct dependency *x = &a->items[i], *y = &b->items[i];
        same = strcmp(x->name, y->name) == 0 && x->condition == y->condition &&
               x->required == y->required && x->restart == y->restart;
    }
    return same;
}

static bool same_setting(const struct setting *s, const void *before, const void *after);

static bool same_table(const struct section *section, const void *a, const void *b)
{
    for (size_t i = 0; i < section->count; i++)
        if (!same_setting(&section->rows[i], a, b))
            return false;
    return true;
}

/* Whether two structs of a section agree in the field of this row. */
static bool same_setting(const struct setting *s, const void *before, const void *after)
{
    const void *a = (const char *)before + s->offset, *b = (const char *)after + s->offset;
    switch (s->type) {
    case SETTING_STRING:
    case SETTING_PATH:
        return same_text(*(const char *const *)a, *(const char *const *)b);
    case SETTING_ENV:
        return same_env(a, b);
    case SETTING_LIST:
    case SETTING_COMMAND:
    case SETTING_TEST:
        return same_list(a, b);
    case SETTING_DEPENDS:
        return same_dependencies(a, b);
    case SETTING_TABLE:
        return same_table(s->inner, a, b);
    case SETTING_BOOL:
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_DURATION_US:
    case SETTING_SIZE:
    case SETTING_CHOICE:
    case SETTING_SCALE:
    case SETTING_PORT:
    case SETTING_CPUS:
    case SETTING_RESTART:
    case SETTING_SIGNAL:
        break;
    }
    return memcmp(a, b, s->size) == 0;
}

static enum change compare_workers(const struct worker_config *before,
                                   const struct worker_config *after)
{
    enum change change = CHANGE_NONE;
    if (before->is_service != after->is_service)
        return CHANGE_PROCESS;
    const struct section *section = after->is_service ? &section_service : &section_worker;
    for (size_t i = 0; i < section->count; i++) {
        const struct setting *row = &section->rows[i];
        if (!same_setting(row, before, after))
            change = MAX(change, row->renews ? CHANGE_PROCESS : CHANGE_POOL);
    }
    return change;
}

static int compare_all_workers(struct arena *a, const struct config *before,
                               const struct config *after, struct config_diff *out)
{
    int changes = 0;
    size_t most = before->worker_count + after->worker_count;
    out->workers = arena_alloc(a, most * sizeof(*out->workers));
    for (size_t i = 0; i < after->worker_count; i++) {
        const struct worker_config *new = &after->workers[i];
        const struct worker_config *old = config_worker(before, new->name);
        enum change change = old ? compare_workers(old, new) : CHANGE_PROCESS;
        out->workers[out->count++] = (struct worker_change){old, new, change};
        changes += change != CHANGE_NONE;
    }
    for (size_t i = 0; i < before->worker_count; i++) {
        const struct worker_config *old = &before->workers[i];
        if (config_worker(after, old->name))
            continue;
        out->workers[out->count++] = (struct worker_change){old, NULL, CHANGE_PROCESS};
        changes++;
    }
    return changes;
}

static bool same_routes(const struct config *before, const struct config *after)
{
    if (before->route_count != after->route_count)
        return false;
    for (size_t i = 0; i < after->route_count; i++) {
        if (before->routes[i].listed != after->routes[i].listed)
            return false;
        for (size_t j = 0; j < section_route.count; j++)
            if (!same_setting(&section_route.rows[j], &before->routes[i], &after->routes[i]))
                return false;
    }
    return true;
}

/* Returns how many settings need a restart. */
static int compare_servers(struct arena *a, const struct server_config *before,
                           const struct server_config *after, struct config_diff *out)
{
    out->restart.items = arena_alloc(a, (section_server.count + 1) * sizeof(char *));
    for (size_t i = 0; i < section_server.count; i++) {
        const struct setting *row = &section_server.rows[i];
        if (same_setting(row, before, after))
            continue;
        if (row->fixed)
            out->restart.items[out->restart.count++] = row->key;
        else
            out->server = true;
    }
    out->restart.items[out->restart.count] = NULL;
    return (int)out->restart.count;
}

/* Sections of one kind, in their order; each struct begins with its name. */
static bool same_sections(const struct section *section, size_t size, const void *before,
                          size_t count_before, const void *after, size_t count_after)
{
    if (count_before != count_after)
        return false;
    for (size_t i = 0; i < count_after; i++) {
        const char *a = (const char *)before + i * size, *b = (const char *)after + i * size;
        if (!same_text(*(const char *const *)(const void *)a,
                       *(const char *const *)(const void *)b) ||
            !same_table(section, a, b))
            return false;
    }
    return true;
}

static bool same_bus(const struct config *a, const struct config *b)
{
    return a->bus.configured == b->bus.configured &&
           same_table(&section_bus, &a->bus, &b->bus) &&
           same_sections(&section_stream, sizeof(*a->streams), a->streams, a->stream_count,
                         b->streams, b->stream_count) &&
           same_sections(&section_queue, sizeof(*a->queues), a->queues, a->queue_count,
                         b->queues, b->queue_count) &&
           same_sections(&section_schedule, sizeof(*a->schedules), a->schedules,
                         a->schedule_count, b->schedules, b->schedule_count);
}

int config_diff(struct arena *a, const struct config *before, const struct config *after,
                struct config_diff *out)
{
    *out = (struct config_diff){.routes = !same_routes(before, after),
                                .bus = !same_bus(before, after)};
    int changes = compare_all_workers(a, before, after, out);
    changes += compare_servers(a, &before->server, &after->server, out);
    return changes + out->routes + out->server + out->bus;
}
