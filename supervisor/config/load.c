#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/bus.h"
#include "config/check.h"
#include "config/config.h"
#include "config/document.h"
#include "config/routesjson.h"
#include "config/settings.h"
#include "config/value.h"
#include "config/workers.h"

static const char default_file[] = "nodey.toml";

/* One load on its way. */
struct loading {
    struct config *config;
    struct documents docs;
    struct journal journal;
    struct err *err;
};

/* --------------------------------------------------------------------- the root */

static bool has_key(const struct section *section, struct slice key)
{
    for (size_t i = 0; i < section->count; i++)
        if (slice_is(key, section->rows[i].key))
            return true;
    return false;
}

/* A key of the root that is none of ours: a section, or a key before the first one. */
static int fail_unknown(const struct reader *r, const struct toml_node *node)
{
    static const char *const names[] = {"server",  "workers", "services", "routes", "defaults",
                                        "include", "bus",     "streams",  "queues", "schedule"};
    static const char *const shown[] = {
        "[server]", "[workers.NAME]", "[services.NAME]", "[[routes]]",    "[defaults]",
        "include",  "[bus]",          "[streams.NAME]",  "[queues.NAME]", "[schedule.NAME]"};
    const char *key = value_quote(r->arena, node->key);
    bool list = node->type == TOML_ARRAY && node->items.first;
    bool section = node->type == TOML_TABLE || (list && node->items.first->type == TOML_TABLE);
    const struct setting *meant = section_habit(&section_server, node->key);
    if (meant && !section && !list)
        return reader_fail(
            r, node->key_at,
            "unknown key %s; it is called %s here, and stands under [server]: %s", key,
            meant->key, meant->example);
    if (has_key(&section_server, node->key))
        return reader_fail(r, node->key_at,
                           "%s stands outside its section: put it under [server]", key);
    if (!section && has_key(&section_worker, node->key))
        return reader_fail(r, node->key_at,
                           "%s stands outside its section: put it under [workers.NAME], or "
                           "under [defaults] for all",
                           key);
    struct nearest nearest = nearest_init(node->key);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        nearest_offer(&nearest, names[i]);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (nearest.best == names[i])
            return reader_fail(r, node->key_at, "unknown %s %s; did you mean %s?",
                               section ? "section" : "key", key, shown[i]);
    return reader_fail(r, node->key_at, "unknown %s %s%s", section ? "section" : "key", key,
                       section ? "" : " outside of a section");
}

static int check_bus(const struct document *doc, const struct toml_node *node)
{
    const struct reader *r = &doc->reader;
    if (node->type != TOML_TABLE)
        return reader_fail(r, node->key_at, "bus must be a section: write [bus]");
    if (doc->parent)
        return reader_fail(r, node->key_at,
                           "[bus] belongs in the first file alone, and this one is included "
                           "by %s",
                           document_place(doc->parent, doc->included_at));
    return 0;
}

static int check_member(const struct document *doc, const struct toml_node *node)
{
    const struct reader *r = &doc->reader;
    if (slice_is(node->key, "server")) {
        if (node->type != TOML_TABLE)
            return reader_fail(r, node->key_at, "server must be a section: write [server]");
        if (doc->parent)
            return reader_fail(r, node->key_at,
                               "[server] belongs in the first file alone, and this one is "
                               "included by %s",
                               document_place(doc->parent, doc->included_at));
    } else if (slice_is(node->key, "workers")) {
        if (node->type != TOML_TABLE)
            return reader_fail(r, node->key_at,
                               "workers must be sections: write [workers.NAME] for each");
    } else if (slice_is(node->key, "services")) {
        if (node->type != TOML_TABLE)
            return reader_fail(r, node->key_at,
                               "services must be sections: write [services.NAME] for each");
    } else if (slice_is(node->key, "bus")) {
        return check_bus(doc, node);
    } else if (slice_is(node->key, "streams") || slice_is(node->key, "queues") ||
               slice_is(node->key, "schedule")) {
        if (node->type != TOML_TABLE)
            return reader_fail(r, node->key_at, "%s must be sections: write [%s.NAME] for each",
                               node->key.ptr, node->key.ptr);
    } else if (slice_is(node->key, "routes")) {
        if (node->type != TOML_ARRAY)
            return reader_fail(r, node->key_at,
                               "routes must be a list: write [[routes]] for each");
    } else if (!slice_is(node->key, "defaults") && !slice_is(node->key, "include")) {
        return fail_unknown(r, node);
    }
    return 0;
}

static int check_members(const struct loading *l)
{
    for (size_t i = 0; i < l->docs.count; i++) {
        const struct document *doc = l->docs.items[i];
        const struct toml_node *node = doc->root ? doc->root->items.first : NULL;
        for (; node; node = node->next)
            if (check_member(doc, node) < 0)
                return l->err->code;
    }
    return 0;
}

/* ----------------------------------------------------------------------- server */

/*
 * Where nothing is configured, LOADBALANCER_PORT is the port, as in the systems of old
 * that had no configuration but a .env.
 */
static int use_balancer_port(struct loading *l, const struct document *doc)
{
    static const struct slice name = {"LOADBALANCER_PORT", 17};
    const struct reader *r = &doc->reader;
    const struct dotenv *from = NULL;
    const char *port = dotenv_look_up(doc->env, name), *source = "the environment";
    const struct variable *found =
        getenv(name.ptr) ? NULL : dotenv_look_up_file(doc->env, name, &from);
    uint64_t number;
    if (!port || !*port)
        return 0;
    char place[300] = "";
    if (found) {
        source = from->file;
        snprintf(place, sizeof(place), "%.250s:%u: ", from->file, found->line);
    }
    if (!slice_to_u64(slice_of(port), UINT16_MAX, &number))
        return err_set(l->err, -EINVAL, "%s%s%s must be a port 0..65535, not %s", place,
                       name.ptr, found ? "" : " (in the environment)",
                       value_quote(r->arena, slice_of(port)));
    char *listen = xasprintf("127.0.0.1:%llu", (unsigned long long)number);
    l->config->server.listen = arena_strdup(r->arena, slice_of(listen));
    xfree(listen);
    journal_note(&l->journal, "listen is %s by %s of %s", l->config->server.listen, name.ptr,
                 source);
    return 0;
}

/* What is compressed unless something else is said; an empty list is something. */
static void use_compression(struct arena *arena, struct server_config *server,
                            const struct toml_node *table)
{
    static const char *const codings[] = {"zstd", "br", "gzip"};
    static const char *const types[] = {"text/*",
                                        "application/json",
                                        "application/*+json",
                                        "application/xml",
                                        "application/*+xml",
                                        "application/javascript",
                                        "application/wasm",
                                        "application/x-ndjson",
                                        "application/jsonl",
                                        "image/svg+xml",
                                        "image/bmp",
                                        "image/x-icon",
                                        "font/ttf",
                                        "font/otf",
                                        "application/vnd.ms-fontobject",
                                        "application/yaml",
                                        "application/x-protobuf"};
    if (!table || !toml_get(table, "compress"))
        server->compress = string_list_of(arena, codings, ARRAY_LEN(codings));
    if (!table || !toml_get(table, "compress_types"))
        server->compress_types = string_list_of(arena, types, ARRAY_LEN(types));
}

static int load_server(struct loading *l)
{
    struct server_config *server = &l->config->server;
    const struct document *doc = l->docs.items[0];
    const struct reader *r = &doc->reader;
    const struct toml_node *table = doc->root ? toml_get(doc->root, "server") : NULL;
    reader_defaults(r, &section_server, server);
    use_compression(&l->config->arena, server, table);
    if (table && (reader_section(r, &section_server, table, section_server.title, server) < 0 ||
                  check_server(r, table, server) < 0))
        return l->err->code;
    return table && toml_get(table, "listen") ? 0 : use_balancer_port(l, doc);
}

/* ----------------------------------------------------------------------- routes */

static int load_route(struct loading *l, const struct document *doc,
                      const struct toml_node *table, struct route_origin *origins)
{
    struct config *c = l->config;
    const struct reader *r = &doc->reader;
    struct route_config *route = &c->routes[c->route_count];
    if (table->type != TOML_TABLE)
        return reader_fail(r, table->at, "routes must be tables: write [[routes]] for each");
    origins[c->route_count] = (struct route_origin){r, table->at};
    *route = (struct route_config){0};
    reader_defaults(r, &section_route, route);
    if (reader_section(r, &section_route, table, section_route.title, route) < 0 ||
        check_route(r, table, c, route) < 0 ||
        check_route_is_new(origins, c, c->route_count) < 0)
        return l->err->code;
    c->route_count++;
    return 0;
}

static const struct toml_node *routes_of(const struct document *doc)
{
    return doc->root ? toml_get(doc->root, "routes") : NULL;
}

static int load_routes(struct loading *l)
{
    struct config *c = l->config;
    size_t count = 0;
    for (size_t i = 0; i < l->docs.count; i++) {
        const struct toml_node *all = routes_of(l->docs.items[i]);
        count += all ? all->items.count : 0;
        if (all && count > CONFIG_MAX_ROUTES)
            return reader_fail(&l->docs.items[i]->reader, all->key_at, "more than %d routes",
                               CONFIG_MAX_ROUTES);
    }
    c->routes = arena_alloc(&c->arena, count * sizeof(*c->routes));
    struct route_origin *origins = arena_alloc(&c->arena, count * sizeof(*origins));
    for (size_t i = 0; i < l->docs.count; i++) {
        const struct toml_node *all = routes_of(l->docs.items[i]);
        const struct toml_node *table = all ? all->items.first : NULL;
        for (; table; table = table->next)
            if (load_route(l, l->docs.items[i], table, origins) < 0)
                return l->err->code;
    }
    return 0;
}

/* -------------------------------------------------------------------------- all */

/* A file that is looked for by each load, beside the configuration. */
static void look_for(struct loading *l, const char *name)
{
    char *path = xasprintf("%s/%s", l->config->dir, name);
    journal_file(&l->journal, path);
    xfree(path);
}

static int load_all(struct loading *l)
{
    struct config *c = l->config;
    const char *slash = c->file ? strrchr(c->file, '/') : NULL;
    int code = documents_read(&l->docs, &c->arena, c->file, &l->journal, l->err);
    if (code < 0)
        return code;
    c->dir = l->docs.items[0]->reader.dir;
    look_for(l, slash ? slash + 1 : c->file ? c->file : default_file);
    look_for(l, "routes.json");
    if (check_members(l) < 0 || load_server(l) < 0 || bus_load(c, &l->docs, l->err) < 0 ||
        workers_load(c, &l->docs, &l->journal, l->err) < 0 || load_routes(l) < 0)
        return l->err->code;
    return routesjson_load(c, &l->journal, l->err);
}

struct config *config_load_listening(const char *file, const char *listen, struct err *err)
{
    struct config *c = xcalloc(1, sizeof(*c));
    struct loading l = {.config = c, .journal = {.arena = &c->arena}, .err = err};
    c->holders = 1;
    c->listening = listen;
    if (!file && access(default_file, F_OK) == 0)
        file = default_file;
    if (file)
        c->file = arena_strdup(&c->arena, slice_of(file));
    int code = load_all(&l);
    c->notes = journal_notes(&l.journal);
    c->files = journal_files(&l.journal);
    journal_deinit(&l.journal);
    if (code == 0)
        return c;
    config_release(c);
    return NULL;
}

struct config *config_load(const char *file, struct err *err)
{
    return config_load_listening(file, NULL, err);
}

struct config *config_hold(struct config *c)
{
    c->holders++;
    return c;
}

void config_release(struct config *c)
{
    if (!c || --c->holders)
        return;
    arena_deinit(&c->arena);
    xfree(c);
}

void config_leave_services_out(struct config *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->route_count; i++) {
        const char *to = c->routes[i].to;
        const struct worker_config *w = to ? config_worker(c, to) : NULL;
        if (!w || !w->is_service)
            c->routes[kept++] = c->routes[i];
    }
    c->route_count = kept;
    kept = 0;
    for (size_t i = 0; i < c->worker_count; i++) {
        c->workers[i].depends_on.count = 0;
        if (!c->workers[i].is_service)
            c->workers[kept++] = c->workers[i];
    }
    c->worker_count = kept;
}

const struct worker_config *config_worker(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->worker_count; i++)
        if (strcmp(c->workers[i].name, name) == 0)
            return &c->workers[i];
    return NULL;
}

bool worker_config_is_checked(const struct worker_config *w)
{
    const struct healthcheck_config *check = &w->healthcheck;
    return w->is_service && !check->disabled &&
           (w->port || check->test.count || check->path || check->tcp);
}

struct slice route_config_worker(const struct route_config *route)
{
    return (struct slice){route->to, route->to ? strcspn(route->to, ":") : 0};
}
