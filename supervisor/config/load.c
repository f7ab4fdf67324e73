#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/check.h"
#include "config/config.h"
#include "config/discover.h"
#include "config/script.h"
#include "config/settings.h"
#include "config/value.h"

static const char default_file[] = "nodey.toml";

enum { MIN_INSTANCES = 2, MAX_INSTANCES = 8 };

/* What the root's sections turned out to be. */
struct sections {
    const struct toml_node *server; /* NULL when the file has none; so the others */
    const struct toml_node *workers;
    const struct toml_node *routes;
};

/* Reads little more than is allowed, so that an endless file ends here. */
static int read_file(const char *file, struct buf *text, struct err *err)
{
    enum { STEP = 64 * 1024 };

    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "%s: %s", file, strerror(errno));
    ssize_t n;
    do {
        n = read(fd, buf_reserve(text, STEP), STEP);
        if (n > 0)
            text->len += (size_t)n;
    } while ((n > 0 && text->len <= TOML_MAX_FILE) || (n < 0 && errno == EINTR));
    int code = n < 0 ? -errno : 0;
    close(fd);
    return code ? err_set(err, code, "%s: %s", file, strerror(-code)) : 0;
}

/* The CPUs that this process may use, within reason. */
static uint64_t default_instances(void)
{
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    return (uint64_t)MIN(MAX(count, MIN_INSTANCES), MAX_INSTANCES);
}

static void worker_defaults(const struct reader *r, const char *name, struct worker_config *w)
{
    *w = (struct worker_config){.name = name};
    reader_defaults(r, &section_worker, w);
    w->instances = default_instances();
    w->cwd = r->dir;
}

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
    static const char *const names[] = {"server", "workers", "routes"};
    static const char *const shown[] = {"[server]", "[workers.NAME]", "[[routes]]"};
    const char *key = value_quote(r->arena, node->key);
    if (has_key(&section_server, node->key))
        return reader_fail(r, node->key_at,
                           "%s stands outside its section: put it under [server]", key);
    bool list = node->type == TOML_ARRAY && node->items.first;
    if (node->type != TOML_TABLE && !(list && node->items.first->type == TOML_TABLE))
        return reader_fail(r, node->key_at, "unknown key %s outside of a section", key);
    struct nearest nearest = nearest_init(node->key);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        nearest_offer(&nearest, names[i]);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (nearest.best == names[i])
            return reader_fail(r, node->key_at, "unknown section %s; did you mean %s?", key,
                               shown[i]);
    return reader_fail(r, node->key_at, "unknown section %s", key);
}

static int find_sections(const struct reader *r, const struct toml_node *root,
                         struct sections *s)
{
    for (const struct toml_node *node = root->items.first; node; node = node->next) {
        if (slice_is(node->key, "server")) {
            s->server = node;
            if (node->type != TOML_TABLE)
                return reader_fail(r, node->key_at, "server must be a section: write [server]");
        } else if (slice_is(node->key, "workers")) {
            s->workers = node;
            if (node->type != TOML_TABLE)
                return reader_fail(r, node->key_at,
                                   "workers must be sections: write [workers.NAME] for each");
        } else if (slice_is(node->key, "routes")) {
            s->routes = node;
            if (node->type != TOML_ARRAY)
                return reader_fail(r, node->key_at,
                                   "routes must be a list: write [[routes]] for each");
        } else {
            return fail_unknown(r, node);
        }
    }
    return 0;
}

static int load_server(struct config *c, const struct reader *r, const struct toml_node *table)
{
    reader_defaults(r, &section_server, &c->server);
    if (!table)
        return 0;
    if (reader_section(r, &section_server, table, section_server.title, &c->server) < 0)
        return r->err->code;
    return check_server(r, table, &c->server);
}

static int load_worker(const struct reader *r, const struct toml_node *table,
                       struct worker_config *w)
{
    char title[96];
    const char *name = value_quote(r->arena, table->key);
    if (table->type != TOML_TABLE)
        return reader_fail(
            r, table->key_at,
            "unknown key %s in [workers]; every worker has a section of its own, "
            "[workers.NAME]",
            name);
    if (!worker_name_valid(table->key))
        return reader_fail(r, table->key_at,
                           "%s is no name for a worker: use 1 to 64 letters, digits, \"_\", "
                           "\".\" and \"-\", and neither of the last two first",
                           name);
    worker_defaults(r, table->key.ptr, w);
    snprintf(title, sizeof(title), "[workers.%s]", w->name);
    if (reader_section(r, &section_worker, table, title, w) < 0)
        return r->err->code;
    return check_worker(r, table, w);
}

static int load_workers(struct config *c, const struct reader *r, const struct toml_node *all)
{
    size_t count = all ? all->items.count : 0;
    if (count > CONFIG_MAX_WORKERS)
        return reader_fail(r, all->key_at, "more than %d workers", CONFIG_MAX_WORKERS);
    c->workers = arena_alloc(&c->arena, count * sizeof(*c->workers));
    const struct toml_node *table = all ? all->items.first : NULL;
    for (; table; table = table->next) {
        if (load_worker(r, table, &c->workers[c->worker_count]) < 0)
            return r->err->code;
        c->worker_count++;
    }
    return 0;
}

static int load_routes(struct config *c, const struct reader *r, const struct toml_node *all)
{
    size_t count = all ? all->items.count : 0;
    if (count > CONFIG_MAX_ROUTES)
        return reader_fail(r, all->key_at, "more than %d routes", CONFIG_MAX_ROUTES);
    c->routes = arena_alloc(&c->arena, count * sizeof(*c->routes));
    const struct toml_node *table = all ? all->items.first : NULL;
    for (; table; table = table->next) {
        struct route_config *route = &c->routes[c->route_count];
        if (table->type != TOML_TABLE)
            return reader_fail(r, table->at,
                               "routes must be tables: write [[routes]] for each");
        *route = (struct route_config){0};
        reader_defaults(r, &section_route, route);
        if (reader_section(r, &section_route, table, section_route.title, route) < 0 ||
            check_route(r, table, c, route) < 0 ||
            check_route_is_new(r, all, c, c->route_count) < 0)
            return r->err->code;
        c->route_count++;
    }
    return 0;
}

static int fail_no_workers(const struct config *c, const struct discovery *d, struct err *err)
{
    if (!d->missing)
        return err_set(err, -ENOENT,
                       "nothing in workers/ can be run: put a .py or .js file there, or make "
                       "a program executable%s%s%s",
                       d->notes.count ? " (" : "", d->notes.count ? d->notes.items[0] : "",
                       d->notes.count ? ")" : "");
    if (c->file)
        return err_set(err, -ENOENT,
                       "%s: no [workers.NAME], and no workers/ folder in %s: put a script into "
                       "workers/, or configure one",
                       c->file, c->dir);
    return err_set(err, -ENOENT,
                   "no nodey.toml and no workers/ folder here: put a script into workers/, "
                   "such as workers/hello.py, or write a nodey.toml");
}

/* The drop-in scripts, when no worker is configured. */
static int load_discovered(struct config *c, const struct reader *r)
{
    struct discovery d;
    if (discover(&c->arena, c->dir, &d, r->err) < 0)
        return r->err->code;
    if (d.count == 0)
        return fail_no_workers(c, &d, r->err);
    c->notes = d.notes;
    c->workers = arena_alloc(&c->arena, d.count * sizeof(*c->workers));
    for (size_t i = 0; i < d.count; i++) {
        struct worker_config *w = &c->workers[i];
        worker_defaults(r, d.scripts[i].name, w);
        w->script = d.scripts[i].path;
        w->ready_auto = script_kind(w->script) == SCRIPT_OTHER;
        if (script_argv(&c->arena, w->script, d.scripts[i].shown, c->dir, &w->command, r->err) <
            0)
            return r->err->code;
        c->worker_count++;
    }
    return 0;
}

static int load_tree(struct config *c, const struct reader *r, const struct toml_node *root)
{
    struct sections s = {0};
    if ((root && find_sections(r, root, &s) < 0) || load_server(c, r, s.server) < 0 ||
        load_workers(c, r, s.workers) < 0)
        return r->err->code;
    if (c->worker_count == 0 && load_discovered(c, r) < 0)
        return r->err->code;
    return load_routes(c, r, s.routes);
}

static int load_text(struct config *c, const struct reader *r)
{
    struct toml_node *root = NULL;
    if (c->file) {
        struct buf text = {0};
        int code = read_file(c->file, &text, r->err);
        if (code == 0)
            root = toml_parse(&c->arena, buf_slice(&text), c->file, r->err);
        buf_deinit(&text);
        if (!root)
            return r->err->code;
    }
    return load_tree(c, r, root);
}

/* The absolute folder of a file, or the current one. */
static const char *folder_of(struct arena *a, const char *file, struct err *err)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *folder = slash ? xstrndup(file, (size_t)(slash - file) + 1) : xstrdup(".");
    char *absolute = realpath(folder, NULL);
    const char *kept = NULL;
    if (absolute)
        kept = arena_strdup(a, slice_of(absolute));
    else
        err_set(err, -errno, "%s: %s", file ? file : folder, strerror(errno));
    xfree(absolute);
    xfree(folder);
    return kept;
}

struct config *config_load(const char *file, struct err *err)
{
    struct config *c = xcalloc(1, sizeof(*c));
    c->holders = 1;
    if (!file && access(default_file, F_OK) == 0)
        file = default_file;
    if (file)
        c->file = arena_strdup(&c->arena, slice_of(file));
    c->dir = folder_of(&c->arena, file, err);
    c->notes = string_list_none(&c->arena);
    c->files = string_list_none(&c->arena);
    struct reader r = {&c->arena, c->file, c->dir, err};
    if (c->dir && load_text(c, &r) == 0)
        return c;
    config_release(c);
    return NULL;
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

const struct worker_config *config_worker(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->worker_count; i++)
        if (strcmp(c->workers[i].name, name) == 0)
            return &c->workers[i];
    return NULL;
}
