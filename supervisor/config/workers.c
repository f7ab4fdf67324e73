#include "config/workers.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/check.h"
#include "config/depends.h"
#include "config/discover.h"
#include "config/imports.h"
#include "config/ports.h"
#include "config/program.h"
#include "config/pyapp.h"
#include "config/samefile.h"
#include "config/script.h"
#include "config/settings.h"
#include "config/shellwords.h"
#include "config/value.h"

enum { MIN_INSTANCES = 2, MAX_INSTANCES = 8 };

/* What a file's workers begin with. */
struct base {
    const struct document *doc;
    const struct toml_node *defaults; /* NULL: it has no [defaults] */
    struct worker_config config;      /* of a worker */
    struct worker_config service;     /* of a service */
    struct string_list env; /* of .env, where nodey's own environment has no such name */
};

/* A section that became c->workers[i]. */
struct origin {
    const struct base *base;
    const struct toml_node *table;
};

/* An env_file, as the .env of one file's folder completes it. */
struct env_file {
    const char *path;
    const struct dotenv *outer;
    struct dotenv env;
};

struct building {
    struct config *config;
    struct journal *journal;
    struct err *err;
    struct base *bases;     /* one for each document */
    struct origin *origins; /* of the workers with a section, which come first */
    size_t origin_count;
    struct discovery found;
    bool *taken;           /* of found.scripts */
    const char *no_search; /* why workers/ could not be searched */
    struct node_version node;
    struct buf env_files; /* of struct env_file: read once each */
    bool serves_files;    /* without a worker there is still something to do */
};

/* The CPUs that this process may use, within reason. */
static uint64_t default_instances(void)
{
    cpu_set_t cpus;
    int count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    return (uint64_t)MIN(MAX(count, MIN_INSTANCES), MAX_INSTANCES);
}

/* ------------------------------------------------------------------ environment */

/* As nodey would hand it on: what its own environment names is there anyhow. */
static struct string_list entries_of(struct arena *a, const struct dotenv *env)
{
    size_t total = 0;
    for (const struct dotenv *at = env; at; at = at->outer)
        total += at->count;
    struct string_list list = {arena_alloc(a, (total + 1) * sizeof(char *)), 0};
    for (const struct dotenv *at = env; at; at = at->outer)
        for (size_t i = 0; i < at->count; i++) {
            const struct variable *v = &at->items[i];
            const struct dotenv *from = NULL;
            if (dotenv_look_up_file(env, v->name, &from) == v &&
                dotenv_look_up(env, v->name) == v->value)
                list.items[list.count++] = v->entry;
        }
    list.items[list.count] = NULL;
    return list;
}

/* Borrows from the list of those that were read, until the next call. */
static const struct dotenv *read_env_file(struct building *b, const struct base *base,
                                          const char *path, struct toml_place at)
{
    const struct reader *r = &base->doc->reader;
    struct env_file *known = (struct env_file *)b->env_files.ptr;
    for (size_t i = 0; i < b->env_files.len / sizeof(*known); i++)
        if (strcmp(known[i].path, path) == 0 && known[i].outer == base->doc->env)
            return &known[i].env;
    struct env_file file = {path, base->doc->env, {.outer = base->doc->env}};
    size_t dir = strlen(r->dir);
    bool below = strncmp(path, r->dir, dir) == 0 && path[dir] == '/';
    if (dotenv_read(r->arena, path, below ? path + dir + 1 : path, true, b->journal, &file.env,
                    b->err) < 0) {
        struct err cause = *b->err;
        reader_fail(r, at, "env_file: %s", cause.text);
        return NULL;
    }
    buf_append(&b->env_files, &file, sizeof(file));
    return &((struct env_file *)b->env_files.ptr)[b->env_files.len / sizeof(file) - 1].env;
}

/* The place of the n-th env_file, in the section or in the defaults. */
static struct toml_place env_file_place(const struct base *base, const struct toml_node *table,
                                        size_t n)
{
    const struct toml_node *value = table ? toml_get(table, "env_file") : NULL;
    return check_item_place(value ? value : toml_get(base->defaults, "env_file"), n);
}

/* .env, below env_file, below env. */
static int build_env(struct building *b, const struct base *base, const struct toml_node *table,
                     struct worker_config *w)
{
    const struct reader *r = &base->doc->reader;
    struct string_list all = w->env_clear ? string_list_none(r->arena) : base->env;
    for (size_t i = 0; i < w->env_file.count; i++) {
        const struct dotenv *env =
            read_env_file(b, base, w->env_file.items[i], env_file_place(base, table, i));
        if (!env)
            return b->err->code;
        struct string_list list = {arena_alloc(r->arena, (env->count + 1) * sizeof(char *)), 0};
        for (size_t j = 0; j < env->count; j++)
            list.items[list.count++] = env->items[j].entry;
        all = reader_merge_env(r, all, list);
    }
    w->env = reader_merge_env(r, all, w->env);
    return 0;
}

/* --------------------------------------------------------------------- defaults */

static int fail_defaults(const struct reader *r, const struct toml_node *node)
{
    return reader_fail(r, node->key_at,
                       "%s in [defaults] would be every worker's: put it under [workers.NAME]",
                       node->key.ptr);
}

static int read_defaults(struct base *base)
{
    const struct reader *r = &base->doc->reader;
    struct worker_config *w = &base->config;
    const struct toml_node *table = base->defaults, *node;
    if (table->type != TOML_TABLE)
        return reader_fail(r, table->key_at, "defaults must be a section: write [defaults]");
    if ((node = toml_get(table, "script")) || (node = toml_get(table, "command")) ||
        (node = toml_get(table, "app")))
        return fail_defaults(r, node);
    if (reader_section(r, &section_worker, table, "[defaults]", w) < 0)
        return r->err->code;
    return check_worker(r, table, w);
}

static int load_base(struct base *base, const struct document *doc)
{
    const struct reader *r = &doc->reader;
    *base = (struct base){.doc = doc,
                          .defaults = doc->root ? toml_get(doc->root, "defaults") : NULL};
    reader_defaults(r, &section_worker, &base->config);
    base->config.instances = base->config.instances_min = default_instances();
    base->config.cwd = r->dir;
    base->config.file_roots = string_list_of(r->arena, (const char *const[]){r->dir}, 1);
    base->env = entries_of(r->arena, doc->env);
    reader_defaults(r, &section_service, &base->service);
    base->service.is_service = true;
    base->service.cwd = r->dir;
    base->service.file_roots = base->service.tokens = string_list_none(r->arena);
    return base->defaults ? read_defaults(base) : 0;
}

/* --------------------------------------------------------------------- sections */

/* "worker" and "service", as in their sections. */
static const char *kind_of(bool is_service)
{
    return is_service ? "service" : "worker";
}

static int fail_twice(const struct building *b, const struct origin *o, size_t other)
{
    const struct origin *first = &b->origins[other];
    return reader_fail(&o->base->doc->reader, o->table->key_at,
                       "[%ss.%s] stands in %s too: rename one",
                       kind_of(b->config->workers[other].is_service), o->table->key.ptr,
                       document_place(first->base->doc, first->table->key_at));
}

static int check_name(const struct building *b, const struct origin *o, bool is_service)
{
    const struct reader *r = &o->base->doc->reader;
    const char *name = value_quote(r->arena, o->table->key), *kind = kind_of(is_service);
    if (o->table->type != TOML_TABLE)
        return reader_fail(r, o->table->key_at,
                           "unknown key %s in [%ss]; every %s has a section of its own, "
                           "[%ss.NAME]%s",
                           name, kind, kind, kind,
                           is_service ? "" : ", and [defaults] is for all");
    if (!worker_name_valid(o->table->key))
        return reader_fail(r, o->table->key_at,
                           "%s is no name for a %s: use 1 to 64 letters, digits, \"_\", "
                           "\".\" and \"-\", and neither of the last two first",
                           name, kind);
    for (size_t i = 0; i < b->config->worker_count; i++)
        if (slice_is(o->table->key, b->config->workers[i].name))
            return fail_twice(b, o, i);
    return 0;
}

static int load_section(struct building *b, const struct base *base, bool is_service,
                        const struct toml_node *table)
{
    char title[96];
    const struct reader *r = &base->doc->reader;
    const struct section *section = is_service ? &section_service : &section_worker;
    struct worker_config *w = &b->config->workers[b->config->worker_count];
    struct origin *origin = &b->origins[b->config->worker_count];
    *origin = (struct origin){base, table};
    if (check_name(b, origin, is_service) < 0)
        return b->err->code;
    *w = is_service ? base->service : base->config;
    w->name = table->key.ptr;
    snprintf(title, sizeof(title), "[%ss.%s]", kind_of(is_service), w->name);
    if (reader_section(r, section, table, title, w) < 0 || check_worker(r, table, w) < 0 ||
        build_env(b, base, table, w) < 0)
        return b->err->code;
    const struct toml_node *command = toml_get(table, "command");
    if (command && w->command.count)
        w->command_place = document_place(base->doc, check_item_place(command, 0));
    shellwords_note(b->journal, base->doc, table);
    b->config->worker_count++;
    return 0;
}

static int load_sections(struct building *b, const struct base *base, bool services)
{
    const struct document *doc = base->doc;
    const char *key = services ? "services" : "workers";
    const struct toml_node *all = doc->root ? toml_get(doc->root, key) : NULL;
    const struct toml_node *table = all ? all->items.first : NULL;
    for (; table; table = table->next)
        if (load_section(b, base, services, table) < 0)
            return b->err->code;
    return 0;
}

/* -------------------------------------------------------------------- discovery */

static int search(struct building *b)
{
    struct config *c = b->config;
    struct err err;
    c->discovered = c->server.discover;
    if (!c->discovered)
        return 0;
    if (discover(&c->arena, c->dir, &b->found, &err) == 0) {
        b->taken = arena_alloc(&c->arena, b->found.count * sizeof(bool));
        memset(b->taken, 0, b->found.count * sizeof(bool));
        return 0;
    }
    /* Whoever configures every worker may well have what could not be found. */
    if (c->worker_count == 0)
        return err_set(b->err, err.code, "%s", err.text);
    b->found = (struct discovery){.missing = true};
    b->no_search = arena_strdup(&c->arena, slice_of(err.text));
    journal_note(b->journal, "workers/ is not searched: %s", err.text);
    return 0;
}

/* A note about what a section names, or what its script loads, would be wrong. */
static void drop_notes(struct building *b, const char *path)
{
    for (size_t i = 0; i < b->found.notes.count; i++) {
        const char *about = b->found.paths[i];
        if (about && (is_program_file(path, about, about) || imports_file(path, about)))
            b->found.notes.items[i] = NULL;
    }
}

static void take_path(struct building *b, const char *path)
{
    for (size_t i = 0; i < b->found.count; i++) {
        const struct discovered *d = &b->found.scripts[i];
        b->taken[i] |= is_program_file(path, d->path, d->root) || imports_file(path, d->path);
    }
    drop_notes(b, path);
}

/* Words that name no file take nothing. */
static void take_words(struct building *b, const struct worker_config *w)
{
    for (size_t i = 0; i < w->command.count; i++) {
        const char *word = w->command.items[i];
        if (!strchr(word, '/') && !strchr(word, '.'))
            continue;
        char *path = word[0] == '/' ? xstrdup(word) : xasprintf("%s/%s", w->cwd, word);
        take_path(b, path);
        xfree(path);
    }
}

static int set_script(struct building *b, const struct reader *r, const char *shown,
                      struct worker_config *w, struct err *err)
{
    struct script script = {w->script, shown, r->dir, w->venv, &b->node};
    return script_argv(r->arena, &script, &w->command, err);
}

/* Whatever its folder, the module's file is the program, when it can be seen. */
static int set_app(struct building *b, const struct reader *r, struct worker_config *w,
                   struct err *err)
{
    const char *missing = pyapp_missing(r->arena, w->cwd, w->app);
    char *inside = xasprintf("%s/.", w->cwd);
    struct script script = {arena_strdup(r->arena, slice_of(inside)), NULL, r->dir, w->venv,
                            &b->node};
    xfree(inside);
    w->script = pyapp_file(r->arena, w->cwd, w->app);
    if (missing)
        journal_note(b->journal, "[workers.%s] app \"%s\": there is no %s in %s", w->name,
                     w->app, missing, w->cwd);
    return script_app_argv(r->arena, &script, w->app, &w->command, err);
}

/* A folder that is one program runs in itself, as it did before it came here. */
static void enter_root(const struct base *base, const struct toml_node *table,
                       const struct discovered *found, struct worker_config *w)
{
    bool said = (table && toml_get(table, "cwd")) ||
                (base->defaults && toml_get(base->defaults, "cwd"));
    if (found->root && !said)
        w->cwd = found->root;
}

/* A program in workers/ comes with its command, but does not know of another venv. */
static int set_found(struct building *b, const struct reader *r, const struct discovered *found,
                     struct worker_config *w, struct err *err)
{
    if (found->app) {
        w->app = found->app;
        return set_app(b, r, w, err);
    }
    w->script = found->path;
    w->command = found->command;
    return w->venv ? set_script(b, r, found->shown, w, err) : 0;
}

/* Why workers/NAME.* is not served, or NULL: what discovery noted about it. */
static const char *note_about(const struct building *b, struct slice name)
{
    const char *found = NULL;
    char *prefix = xasprintf("workers/" SLICE_FMT, SLICE_ARG(name));
    size_t len = strlen(prefix);
    for (size_t i = 0; i < b->found.notes.count && !found; i++) {
        const char *note = b->found.notes.items[i], *at = note ? strstr(note, prefix) : NULL;
        if (at && strchr("./\"", at[len]))
            found = note;
    }
    xfree(prefix);
    return found;
}

/* A section that says nothing about what it runs. */
static int fail_program(const struct building *b, const struct origin *o)
{
    const struct reader *r = &o->base->doc->reader;
    struct toml_place at = o->table->key_at;
    const char *name = o->table->key.ptr, *why = b->no_search;
    struct nearest nearest = nearest_init(o->table->key);
    for (size_t i = 0; i < b->found.count; i++)
        if (!b->taken[i])
            nearest_offer(&nearest, b->found.scripts[i].name);
    if (!b->config->discovered || o->base->doc->parent || (b->found.missing && !why))
        return reader_fail(r, at, "[workers.%s] needs a script, an app or a command", name);
    if (!why)
        why = note_about(b, o->table->key);
    if (why)
        return reader_fail(r, at, "[workers.%s] needs a script, an app or a command: %s", name,
                           why);
    return reader_fail(r, at,
                       "[workers.%s] needs a script, an app or a command, or a program of that "
                       "name in workers/%s%s%s",
                       name, nearest.best ? "; did you mean \"" : "",
                       nearest.best ? nearest.best : "", nearest.best ? "\"?" : "");
}

static struct discovered *find_program(const struct building *b, const struct origin *o)
{
    /* Only the first file's folder is searched. */
    for (size_t i = 0; i < b->found.count && !o->base->doc->parent; i++)
        if (slice_is(o->table->key, b->found.scripts[i].name))
            return &b->found.scripts[i];
    return NULL;
}

/* What is not Python has no use for the number of threads. */
static int check_threads(const struct origin *o, const struct worker_config *w)
{
    const struct toml_node *threads = toml_get(o->table, "threads");
    enum script_kind kind = w->script ? script_kind(w->script) : SCRIPT_PYTHON;
    if (!threads || !w->threads || kind == SCRIPT_PYTHON)
        return 0;
    return reader_fail(&o->base->doc->reader, threads->key_at,
                       kind == SCRIPT_NODE
                           ? "threads is for Python: one Node process works on many requests "
                             "at a time anyhow, and instances makes it use more CPUs"
                           : "threads is for Python, and [workers.%s] runs something else",
                       w->name);
}

/* The SDK learns of it by its environment. */
static void add_threads(const struct reader *r, struct worker_config *w)
{
    if (!w->threads || (w->script && script_kind(w->script) != SCRIPT_PYTHON))
        return;
    char *text = xasprintf("NODEY_THREADS=%llu", (unsigned long long)w->threads);
    const char *entry = arena_strdup(r->arena, slice_of(text));
    xfree(text);
    w->env = reader_merge_env(r, w->env, string_list_of(r->arena, &entry, 1));
}

/* What a section's worker runs. */
static int find_argv(struct building *b, const struct origin *o, struct worker_config *w)
{
    struct err err;
    int code = 0;
    const struct reader *r = &o->base->doc->reader;
    const struct toml_node *script = toml_get(o->table, "script");
    const struct toml_node *venv = toml_get(o->table, "venv");
    if (w->is_service)
        return w->command.count
                   ? 0
                   : reader_fail(r, o->table->key_at, "[services.%s] needs a command", w->name);
    bool is_said = script || w->app || w->command.count;
    const struct discovered *found = is_said ? NULL : find_program(b, o);
    if (script)
        code = set_script(b, r, value_quote(r->arena, script->string), w, &err);
    else if (w->app)
        code = set_app(b, r, w, &err);
    else if (!found && !w->command.count)
        return fail_program(b, o);
    if (found) {
        enter_root(o->base, o->table, found, w);
        code = set_found(b, r, found, w, &err);
    }
    if (code == 0)
        return check_threads(o, w);
    bool of_venv = venv && strncmp(err.text, "venv ", 5) == 0;
    return reader_fail(r,
                       of_venv  ? venv->at
                       : script ? script->at
                                : o->table->key_at,
                       "%s", err.text);
}

/* It need not know that there is a frame `ready`. */
static bool may_be_silent(const struct worker_config *w)
{
    if (w->app || !w->script)
        return !w->app;
    return script_kind(w->script) == SCRIPT_OTHER && !program_is_app(w->script);
}

static int find_programs(struct building *b)
{
    struct config *c = b->config;
    for (size_t i = 0; i < c->worker_count; i++) {
        struct worker_config *w = &c->workers[i];
        const struct origin *o = &b->origins[i];
        if (find_argv(b, o, w) < 0)
            return b->err->code;
        if (w->script)
            take_path(b, w->script);
        else
            take_words(b, w);
        bool said = toml_get(o->table, "ready") ||
                    (o->base->defaults && toml_get(o->base->defaults, "ready"));
        if (!said && !w->is_service)
            w->ready_auto = may_be_silent(w);
        add_threads(&o->base->doc->reader, w);
    }
    return 0;
}

/* What lies in workers/ and has no section. */
static int add_discovered(struct building *b, const struct discovered *found)
{
    struct err err;
    struct config *c = b->config;
    const struct base *base = &b->bases[0];
    struct worker_config *w = &c->workers[c->worker_count];
    if (config_worker(c, found->name)) {
        journal_note(b->journal, "%s: left out, [%ss.%s] runs something else", found->shown,
                     kind_of(config_worker(c, found->name)->is_service), found->name);
        return 0;
    }
    *w = base->config;
    w->name = found->name;
    enter_root(base, NULL, found, w);
    if (set_found(b, &base->doc->reader, found, w, &err) < 0) {
        journal_note(b->journal, "left out: %s", err.text);
        return 0;
    }
    if (!base->defaults || !toml_get(base->defaults, "ready"))
        w->ready_auto = may_be_silent(w);
    if (build_env(b, base, NULL, w) < 0)
        return b->err->code;
    add_threads(&base->doc->reader, w);
    c->worker_count++;
    return 0;
}

/* An empty workers/ may be filled while nodey runs: no failure of the configuration. */
static int note_empty(const struct building *b, const char *note)
{
    struct config *c = b->config;
    char *text =
        xasprintf("nothing in workers/ can be run: put a .py or .js file there, or make "
                  "a program executable%s%s%s",
                  note ? " (" : "", note ? note : "", note ? ")" : "");
    c->empty = arena_strdup(&c->arena, slice_of(text));
    xfree(text);
    return 0;
}

static int fail_no_workers(const struct building *b)
{
    const struct config *c = b->config;
    struct string_list notes =
        b->found.notes.count ? b->found.notes : journal_notes(b->journal);
    const char *note = notes.count ? notes.items[0] : NULL;
    if (b->serves_files)
        return 0;
    if (!c->discovered)
        return err_set(b->err, -ENOENT,
                       "%s: no [workers.NAME], and [server] discover is false: configure a "
                       "worker",
                       c->file);
    if (!b->found.missing)
        return note_empty(b, note);
    if (c->file)
        return err_set(b->err, -ENOENT,
                       "%s: no [workers.NAME], and no workers/ folder in %s: put a script into "
                       "workers/, or configure one",
                       c->file, c->dir);
    return err_set(b->err, -ENOENT,
                   "no nodey.toml and no workers/ folder here: put a script into workers/, "
                   "such as workers/hello.py, or write a nodey.toml");
}

static int add_all_discovered(struct building *b)
{
    for (size_t i = 0; i < b->found.notes.count; i++)
        if (b->found.notes.items[i] &&
            (!b->found.paths[i] || !discover_is_module(&b->found, b->found.paths[i])))
            journal_note(b->journal, "%s", b->found.notes.items[i]);
    for (size_t i = 0; i < b->found.count; i++)
        if (!b->taken[i] && add_discovered(b, &b->found.scripts[i]) < 0)
            return b->err->code;
    return b->config->worker_count ? 0 : fail_no_workers(b);
}

/* ------------------------------------------------------------------------- all */

static size_t section_count(const struct document *doc)
{
    const struct toml_node *workers = doc->root ? toml_get(doc->root, "workers") : NULL;
    const struct toml_node *services = doc->root ? toml_get(doc->root, "services") : NULL;
    return (workers ? workers->items.count : 0) + (services ? services->items.count : 0);
}

static int allocate(struct building *b, const struct documents *docs)
{
    struct arena *a = &b->config->arena;
    size_t count = 0;
    for (size_t i = 0; i < docs->count; i++) {
        const struct document *doc = docs->items[i];
        count += section_count(doc);
        if (count > CONFIG_MAX_WORKERS)
            return reader_fail(&doc->reader, doc->root->at, "more than %d workers and services",
                               CONFIG_MAX_WORKERS);
    }
    b->bases = arena_alloc(a, docs->count * sizeof(*b->bases));
    b->origins = arena_alloc(a, count * sizeof(*b->origins));
    b->config->workers =
        arena_alloc(a, (count + DISCOVER_MAX_SCRIPTS) * sizeof(*b->config->workers));
    return 0;
}

/* Routes with a root, or to addresses, need no workers. */
static bool serves_files(const struct documents *docs)
{
    for (size_t i = 0; i < docs->count; i++) {
        const struct toml_node *all =
            docs->items[i]->root ? toml_get(docs->items[i]->root, "routes") : NULL;
        const struct toml_node *route = all ? all->items.first : NULL;
        for (; route; route = route->next)
            if (route->type == TOML_TABLE &&
                (toml_get(route, "root") || toml_get(route, "publish") ||
                 toml_get(route, "events") || check_names_address(toml_get(route, "to"))))
                return true;
    }
    return false;
}

/* Those without a section have what [defaults] says. */
static int check_depends(const struct building *b)
{
    const struct config *c = b->config;
    struct depends_origin *origins = xcalloc(c->worker_count + 1, sizeof(*origins));
    for (size_t i = 0; i < c->worker_count; i++) {
        bool has_section = i < b->origin_count;
        const struct base *base = has_section ? b->origins[i].base : &b->bases[0];
        const struct toml_node *value =
            has_section ? toml_get(b->origins[i].table, "depends_on") : NULL;
        if (!value && base->defaults)
            value = toml_get(base->defaults, "depends_on");
        origins[i] = (struct depends_origin){&base->doc->reader, value};
    }
    int code = depends_check(c, origins);
    xfree(origins);
    return code;
}

static int check_ports(const struct building *b)
{
    const struct config *c = b->config;
    struct port_origin *origins = xcalloc(c->worker_count + 1, sizeof(*origins));
    for (size_t i = 0; i < b->origin_count; i++) {
        const struct toml_node *table = b->origins[i].table;
        origins[i] = (struct port_origin){&b->origins[i].base->doc->reader,
                                          toml_get(table, "port"), table->at};
    }
    int code = ports_check(c, origins);
    xfree(origins);
    return code;
}

static int load_all(struct building *b, const struct documents *docs)
{
    int code = allocate(b, docs);
    b->serves_files = serves_files(docs);
    for (size_t i = 0; i < docs->count && code == 0; i++) {
        code = load_base(&b->bases[i], docs->items[i]);
        if (code == 0)
            code = load_sections(b, &b->bases[i], false);
        if (code == 0)
            code = load_sections(b, &b->bases[i], true);
    }
    if (code == 0)
        code = search(b);
    if (code == 0)
        code = find_programs(b);
    b->origin_count = b->config->worker_count;
    if (code == 0)
        code = add_all_discovered(b);
    if (code == 0)
        code = check_ports(b);
    return code ? code : check_depends(b);
}

int workers_load(struct config *c, const struct documents *docs, struct journal *journal,
                 struct err *err)
{
    struct building b = {.config = c, .journal = journal, .err = err};
    int code = load_all(&b, docs);
    buf_deinit(&b.env_files);
    return code;
}
