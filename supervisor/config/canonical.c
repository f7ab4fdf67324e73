#include "config/canonical.h"

#include <stdio.h>
#include <string.h>

#include "config/secrets.h"
#include "config/settings.h"
#include "config/value.h"

enum { THOUSANDTHS = 1000 };

/* What values are written with. */
struct writing {
    const struct config *config;
    unsigned flags;
    struct secrets secrets; /* that commands may hold */
};

static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_string(""); /* it is no UTF-8, which no file can hold */
}

static json_t *buf_json(struct buf *text)
{
    json_t *string = text_json(buf_cstr(text));
    buf_deinit(text);
    return string;
}

/* ------------------------------------------------------------------ plain values */

static uint64_t number_of(const struct setting *s, const void *field)
{
    if (s->size == sizeof(bool))
        return *(const bool *)field;
    return s->size == sizeof(int) ? (uint64_t) * (const int *)field : *(const uint64_t *)field;
}

/* NULL: nothing is said, and nothing need be. */
static json_t *number_json(const struct setting *s, uint64_t n)
{
    struct buf text = {0};
    if (n == 0 && s->min > 0)
        return NULL; /* what is left to the loading, or to the worker */
    if (s->type == SETTING_INT)
        return json_integer((json_int_t)n);
    if (n == 0)
        return json_string(s->type == SETTING_SIZE && strcmp(s->fallback, "off") ? "0" : "off");
    if (s->type == SETTING_SIZE)
        value_add_size(&text, n);
    else
        value_add_duration(&text, s->type == SETTING_DURATION ? n * 1000 : n);
    return buf_json(&text);
}

static json_t *cpus_json(uint64_t thousandths)
{
    if (thousandths == 0)
        return json_string("off");
    if (thousandths % THOUSANDTHS == 0)
        return json_integer((json_int_t)(thousandths / THOUSANDTHS));
    return json_real((double)thousandths / THOUSANDTHS);
}

static json_t *scale_json(const uint64_t *most)
{
    json_int_t max = (json_int_t)most[0], min = (json_int_t)most[1];
    return max == min || !min ? json_integer(max)
                              : json_pack("{s:I, s:I}", "min", min, "max", max);
}

static json_t *port_json(uint64_t port)
{
    if (port == PORT_AUTO)
        return json_string("auto");
    return port ? json_integer((json_int_t)port) : NULL;
}

static json_t *restart_json(const struct restart_config *restart)
{
    static const char *const words[] = {[RESTART_ALWAYS] = "always",
                                        [RESTART_NO] = "no",
                                        [RESTART_ON_FAILURE] = "on-failure",
                                        [RESTART_UNLESS_STOPPED] = "unless-stopped"};
    struct buf text = {0};
    buf_adds(&text, words[restart->when]);
    if (restart->most)
        buf_addf(&text, ":%u", restart->most);
    return buf_json(&text);
}

static json_t *signal_json(int number)
{
    const char *abbreviation = sigabbrev_np(number);
    struct buf text = {0};
    if (!abbreviation)
        return json_integer(number);
    buf_addf(&text, "SIG%s", abbreviation);
    return buf_json(&text);
}

static json_t *depends_json(const struct dependency_list *list)
{
    static const char *const words[] = {[DEPENDENCY_HEALTHY] = "service_healthy",
                                        [DEPENDENCY_STARTED] = "service_started",
                                        [DEPENDENCY_COMPLETED] =
                                            "service_completed_successfully"};
    if (list->count == 0)
        return NULL;
    json_t *all = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const struct dependency *d = &list->items[i];
        json_t *one = json_pack("{s:s}", "condition", words[d->condition]);
        if (!d->required)
            json_object_set_new(one, "required", json_false());
        if (d->restart)
            json_object_set_new(one, "restart", json_true());
        json_object_set_new(all, d->name, one);
    }
    return all;
}

/* ------------------------------------------------------------------------- texts */

static json_t *list_json(const struct string_list *list)
{
    json_t *all = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(all, text_json(list->items[i]));
    return all;
}

/* A word of a command may be a secret by its look, or hold one that a variable has. */
static json_t *command_json(const struct writing *w, const struct string_list *list)
{
    const char *const *patterns = w->config->server.secrets.items;
    json_t *all = json_array();
    for (size_t i = 0; i < list->count; i++) {
        struct buf shown = {0}, scratch = {0};
        struct slice word = slice_of(list->items[i]);
        if (w->flags & CANONICAL_SECRETS)
            buf_add(&shown, word);
        else
            secret_show_word(&shown, secrets_mask(&w->secrets, word, &scratch), patterns);
        json_array_append_new(all, buf_json(&shown));
        buf_deinit(&scratch);
    }
    return all;
}

/* Compose's form, which says that no shell is meant. */
static json_t *test_json(const struct writing *w, const struct string_list *list)
{
    json_t *all = command_json(w, list);
    if (list->count && strcmp(list->items[0], "NONE") != 0)
        json_array_insert_new(all, 0, json_string("CMD"));
    return all;
}

static json_t *env_json(const struct writing *w, const struct string_list *list)
{
    json_t *all = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const char *entry = list->items[i];
        struct slice value = slice_of(entry + strcspn(entry, "=") + 1);
        char *name = xstrndup(entry, strcspn(entry, "="));
        struct buf shown = {0};
        if (w->flags & CANONICAL_SECRETS)
            buf_add(&shown, value);
        else
            secret_show_value(&shown, slice_of(name), value, w->config->server.secrets.items);
        json_object_set_new(all, name, buf_json(&shown));
        xfree(name);
    }
    return all;
}

/* ---------------------------------------------------------------------- sections */

static json_t *section_json(const struct writing *w, const struct section *section,
                            const void *from);

/* NULL: nothing is said, and the loading of the rest says the same. */
static json_t *setting_json(const struct writing *w, const struct setting *s, const void *from)
{
    const void *field = (const char *)from + s->offset;
    switch (s->type) {
    case SETTING_BOOL:
        return json_boolean(number_of(s, field));
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_DURATION_US:
    case SETTING_SIZE:
        return number_json(s, number_of(s, field));
    case SETTING_CHOICE:
        return json_string(s->choices[number_of(s, field)]);
    case SETTING_STRING:
    case SETTING_PATH:
        return *(const char *const *)field ? text_json(*(const char *const *)field) : NULL;
    case SETTING_LIST:
        return list_json(field);
    case SETTING_ENV:
        return env_json(w, field);
    case SETTING_COMMAND:
        return command_json(w, field);
    case SETTING_TEST:
        return test_json(w, field);
    case SETTING_SCALE:
        return scale_json(field);
    case SETTING_PORT:
        return port_json(number_of(s, field));
    case SETTING_CPUS:
        return cpus_json(number_of(s, field));
    case SETTING_RESTART:
        return restart_json(field);
    case SETTING_SIGNAL:
        return signal_json(*(const int *)field);
    case SETTING_DEPENDS:
        return depends_json(field);
    case SETTING_TABLE:
        return section_json(w, s->inner, field);
    }
    return NULL;
}

/* An empty list says something under [server] alone: that nothing is to be compressed. */
static bool says_nothing(const struct section *section, const json_t *value)
{
    bool empty = json_is_array(value) ? json_array_size(value) == 0
                                      : json_is_object(value) && json_object_size(value) == 0;
    return !value || (empty && section != &section_server);
}

static json_t *section_json(const struct writing *w, const struct section *section,
                            const void *from)
{
    json_t *table = json_object();
    for (size_t i = 0; i < section->count; i++) {
        const struct setting *s = &section->rows[i];
        json_t *value = setting_json(w, s, from);
        if (says_nothing(section, value))
            json_decref(value);
        else
            json_object_set_new(table, s->key, value);
    }
    return table;
}

/* What runs is said once, as a section says it: an app, a script or a command. */
static json_t *program_json(const struct writing *w, const struct worker_config *program)
{
    json_t *table =
        section_json(w, program->is_service ? &section_service : &section_worker, program);
    if (program->app && !(w->flags & CANONICAL_DERIVED))
        json_object_del(table, "script");
    if ((program->app || program->script) && !(w->flags & CANONICAL_DERIVED))
        json_object_del(table, "command");
    if (program->threads) /* the SDK's, and made of it */
        json_object_del(json_object_get(table, "env"), "NODEY_THREADS");
    return table;
}

/* A table that every route begins with. */
static json_t *route_defaults(const struct writing *w)
{
    struct arena arena = {0};
    struct err err;
    struct reader reader = {.arena = &arena, .dir = w->config->dir, .err = &err};
    struct route_config route = {0};
    reader_defaults(&reader, &section_route, &route);
    json_t *table = section_json(w, &section_route, &route);
    arena_deinit(&arena);
    return table;
}

/*
 * Only what differs from the defaults: files, workers and addresses have each their own keys,
 * and are refused those of the others.
 */
static json_t *route_json(const struct writing *w, const struct route_config *route,
                          const json_t *defaults)
{
    json_t *table = section_json(w, &section_route, route), *value;
    const char *key;
    json_object_foreach((json_t *)defaults, key, value)
    {
        if (json_equal(json_object_get(table, key), value))
            json_object_del(table, key);
    }
    json_object_del(table, "method"); /* it is the same list as `methods` */
    const char *to = route->targets.count == 1 ? route->targets.items[0] : route->to;
    if (to && route->targets.count < 2)
        json_object_set_new(table, "to", text_json(to));
    if (route->listed)
        json_object_set_new(table, "listed", json_true());
    return table;
}

static json_t *routes_json(const struct writing *w)
{
    json_t *all = json_array(), *defaults = route_defaults(w);
    for (size_t i = 0; i < w->config->route_count; i++)
        json_array_append_new(all, route_json(w, &w->config->routes[i], defaults));
    json_decref(defaults);
    return all;
}

/* Sections of one kind by their names, with which their structs begin. */
static void add_named(const struct writing *w, json_t *all, const char *key,
                      const struct section *section, const void *items, size_t count,
                      size_t size)
{
    json_t *tables = json_object();
    for (size_t i = 0; i < count; i++) {
        const void *item = (const char *)items + i * size;
        json_object_set_new(tables, *(const char *const *)item, section_json(w, section, item));
    }
    if (count)
        json_object_set_new(all, key, tables);
    else
        json_decref(tables);
}

static void add_bus(const struct writing *w, json_t *all)
{
    const struct config *c = w->config;
    json_object_set_new(all, "bus", section_json(w, &section_bus, &c->bus));
    add_named(w, all, "streams", &section_stream, c->streams, c->stream_count,
              sizeof(*c->streams));
    add_named(w, all, "queues", &section_queue, c->queues, c->queue_count, sizeof(*c->queues));
    add_named(w, all, "schedule", &section_schedule, c->schedules, c->schedule_count,
              sizeof(*c->schedules));
}

static void begin(struct writing *w, const struct config *config, unsigned flags)
{
    *w = (struct writing){.config = config, .flags = flags};
    if (!(flags & CANONICAL_SECRETS))
        config_secrets(config, &w->secrets);
}

json_t *config_canonical_program(const struct config *config,
                                 const struct worker_config *program, unsigned flags)
{
    struct writing w;
    begin(&w, config, flags);
    json_t *table = program_json(&w, program);
    secrets_deinit(&w.secrets);
    return table;
}

json_t *config_canonical(const struct config *config, unsigned flags)
{
    struct writing w;
    begin(&w, config, flags);
    json_t *workers = json_object(), *services = json_object();
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct worker_config *program = &config->workers[i];
        json_object_set_new(program->is_service ? services : workers, program->name,
                            program_json(&w, program));
    }
    json_t *server = section_json(&w, &section_server, &config->server),
           *routes = routes_json(&w);
    json_t *all = json_pack("{s:o, s:o, s:o, s:o}", "server", server, "workers", workers,
                            "services", services, "routes", routes);
    if (config->bus.configured)
        add_bus(&w, all);
    secrets_deinit(&w.secrets);
    return all;
}
