#include "import/pm2.h"

#include <errno.h>
#include <unistd.h>

#include "config/file.h"
#include "config/value.h"
#include "import/measure.h"
#include "import/pm2node.h"
#include "import/yaml.h"

struct app {
    const struct tree *node;
    const char *name;
    const char *cwd; /* absolute */
    unsigned port;
    bool many; /* several instances */
};

static const struct tree *first_of(const struct tree *app, const char *a, const char *b)
{
    const struct tree *found = tree_get(app, a);
    return tree_is_null(found) ? tree_get(app, b) : found;
}

/* ------------------------------------------------------------------------ command */

static void add_words(struct draft *d, const struct tree *node, struct string_list *argv)
{
    struct string_list words = {0};
    for (const struct tree *at = node && node->type == TREE_LIST ? node->first : NULL; at;
         at = at->next)
        if (at->type == TREE_TEXT)
            text_list_add(&d->arena, &words, at->text.ptr);
    if (tree_is_text(node) && value_words(node->text, &d->arena, &words))
        draft_lost(d, node, "%s: a quote is not closed", node->key.ptr);
    for (size_t i = 0; i < words.count; i++)
        text_list_add(&d->arena, argv, text_literal(&d->arena, slice_of(words.items[i])).ptr);
}

/* PM2 knows what runs a script by its extension. */
static const char *interpreter_of(const char *script)
{
    static const struct {
        const char *extension, *program;
    } known[] = {{".js", "node"},    {".cjs", "node"}, {".mjs", "node"},     {".ts", "bun"},
                 {".py", "python3"}, {".sh", "bash"},  {".rb", "ruby"},      {".php", "php"},
                 {".pl", "perl"},    {".lua", "lua"},  {".coffee", "coffee"}};

    const char *dot = strrchr(script, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(known); i++)
        if (strcmp(dot, known[i].extension) == 0)
            return known[i].program;
    return NULL;
}

static void write_command(struct draft *d, const struct app *app)
{
    const struct tree *script = tree_get(app->node, "script");
    const struct tree *interpreter = first_of(app->node, "interpreter", "exec_interpreter");
    struct string_list argv = {0}, words = {0};
    bool none = tree_is_text(interpreter) && slice_is(interpreter->text, "none");
    if (!tree_is_text(script)) {
        draft_lost(d, app->node, "%s has no script", app->name);
        draft_line(d, "command = \"false\"");
        return;
    }
    if (value_words(script->text, &d->arena, &words) || words.count == 0)
        text_list_add(&d->arena, &words, script->text.ptr);
    const char *runner =
        tree_is_text(interpreter) ? interpreter->text.ptr : interpreter_of(words.items[0]);
    bool is_file = path_exists(path_join(&d->arena, app->cwd, words.items[0]));
    if (!runner && is_file && access(path_join(&d->arena, app->cwd, words.items[0]), X_OK) != 0)
        runner = "node";
    if (runner && !none) {
        text_list_add(&d->arena, &argv, runner);
        add_words(d, first_of(app->node, "node_args", "interpreter_args"), &argv);
    }
    for (size_t i = 0; i < words.count; i++)
        text_list_add(&d->arena, &argv, text_literal(&d->arena, slice_of(words.items[i])).ptr);
    add_words(d, tree_get(app->node, "args"), &argv);
    draft_list(d, "command", &argv);
}

/* --------------------------------------------------------------------------- keys */

static void write_ms(struct draft *d, const struct tree *node, const char *key)
{
    struct buf time = {0};
    const char *text = text_format(&d->arena, "%sms", node->text.ptr);
    if (measure_duration(&time, node->text) || measure_duration(&time, slice_of(text)))
        draft_string(d, key, buf_slice(&time));
    else
        draft_lost(d, node, "%s: \"%.40s\" is not understood", node->key.ptr, node->text.ptr);
    buf_deinit(&time);
}

static void write_memory(struct draft *d, const struct tree *node)
{
    struct buf size = {0};
    uint64_t bytes;
    if (measure_size(&size, node->text, &bytes))
        draft_string(d, "max_memory", buf_slice(&size));
    else
        draft_lost(d, node, "max_memory_restart: \"%.40s\" is not understood", node->text.ptr);
    buf_deinit(&size);
}

static void write_paths(struct draft *d, const struct app *app, const struct tree *node,
                        const char *key, bool patterns)
{
    struct string_list list = {0};
    for (const struct tree *at = node->type == TREE_LIST ? node->first : node; at;
         at = node->type == TREE_LIST ? at->next : NULL)
        if (tree_is_text(at))
            text_list_add(&d->arena, &list,
                          patterns ? at->text.ptr
                                   : path_from(&d->arena, d->dir,
                                               path_join(&d->arena, app->cwd, at->text.ptr)));
    if (list.count)
        draft_list(d, key, &list);
}

static void write_key(struct draft *d, const struct app *app, const struct tree *at)
{
    struct slice key = at->key;
    bool text = tree_is_text(at);
    if (slice_is(key, "max_memory_restart") && text)
        write_memory(d, at);
    else if (slice_is(key, "kill_timeout") && text)
        write_ms(d, at, "stop_grace_period");
    else if (slice_is(key, "listen_timeout") && text)
        write_ms(d, at, "start_timeout");
    else if (slice_is(key, "min_uptime") && text)
        write_ms(d, at, "backoff_reset");
    else if ((slice_is(key, "restart_delay") || slice_is(key, "exp_backoff_restart_delay")) &&
             text)
        write_ms(d, at, "backoff_min");
    else if (slice_is(key, "max_restarts") && text)
        draft_line(d, "max_restarts = %u", MAX(text_number(at->text), 1U));
    else if (slice_is(key, "autorestart"))
        draft_line(d, "restart = \"%s\"", tree_is_true(at) ? "always" : "no");
    else if (slice_is(key, "watch") && at->type == TREE_LIST)
        write_paths(d, app, at, "watch", false);
    else if (slice_is(key, "watch") && tree_is_true(at))
        draft_list(d, "watch",
                   &(struct string_list){
                       (const char *[]){path_from(&d->arena, d->dir, app->cwd), NULL}, 1});
    else if (slice_is(key, "ignore_watch"))
        write_paths(d, app, at, "ignore", true);
    else if (slice_is(key, "env_file") && text)
        write_paths(d, app, at, "env_file", false);
}

/* By write_key(), by others, or without a meaning here. */
static bool is_known(struct slice key)
{
    static const char *const names[] = {
        "name", "script", "args", "cwd", "interpreter", "exec_interpreter", "node_args",
        "interpreter_args", "instances", "exec_mode", "env", "env_production",
        "max_memory_restart", "kill_timeout", "listen_timeout", "min_uptime", "restart_delay",
        "max_restarts", "exp_backoff_restart_delay", "autorestart", "watch", "ignore_watch",
        "env_file",
        /* nodey has its own log, its own way to tell, and no groups of programs */
        "out_file", "error_file", "log_file", "output", "error", "log", "merge_logs",
        "combine_logs", "log_date_format", "log_type", "time", "wait_ready", "namespace",
        "source_map_support", "pmx", "automation", "vizion", "treekill", "force",
        "instance_var", "watch_delay", "watch_options", "disable_logs", "autostart", "pid_file",
        "appendEnvToName"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is(key, names[i]))
            return true;
    return false;
}

static void write_unknown(struct draft *d, const struct app *app)
{
    for (const struct tree *at = app->node->first; at; at = at->next)
        if (slice_is(at->key, "cron_restart") && !tree_is_null(at))
            draft_lost(d, at, "cron_restart: nodey restarts by age (ttl), not by the clock");
        else if (slice_is(at->key, "user") || slice_is(at->key, "uid") ||
                 slice_is(at->key, "gid"))
            draft_lost(d, at, "%s: where nodey runs as root, set user and group", at->key.ptr);
        else if (slice_starts(at->key, SLICE("env_")) && !is_known(at->key))
            draft_lost(d, at, "%s: nodey has one environment; write another nodey.toml for it",
                       at->key.ptr);
        else if (!is_known(at->key))
            draft_lost(d, at, "%.60s: not known to nodey import", at->key.ptr);
    const struct tree *autostart = tree_get(app->node, "autostart");
    if (tree_is_text(autostart) && !tree_is_true(autostart))
        draft_line(d, "profiles = [\"%s\"]", app->name);
}

static void add_env(struct draft *d, const struct app *app, const struct tree *env,
                    struct string_list *list)
{
    for (const struct tree *at = env && env->type == TREE_MAP ? env->first : NULL; at;
         at = at->next)
        if (at->type != TREE_TEXT)
            draft_lost(d, at, "env: %s is no text", at->key.ptr);
        else if (!slice_is(at->key, "PORT") || !app->many)
            text_list_add(&d->arena, list,
                          text_format(&d->arena, "%s=%s", at->key.ptr,
                                      text_literal(&d->arena, at->text).ptr));
}

/* What env_production says goes over env. */
static void write_env(struct draft *d, const struct app *app)
{
    const struct tree *env = tree_get(app->node, "env");
    const struct tree *production = tree_get(app->node, "env_production");
    struct string_list list = {0};
    struct tree *rest = tree_new(&d->arena, TREE_MAP, app->node);
    for (const struct tree *at = env ? env->first : NULL; at; at = at->next)
        if (!tree_find(production, at->key))
            tree_add(&d->arena, rest, at->key, at);
    add_env(d, app, rest, &list);
    add_env(d, app, production, &list);
    if (production)
        draft_comment(d, "With env_production, as pm2 start --env production.");
    draft_env(d, app->name, &list);
}

/* --------------------------------------------------------------------------- apps */

static void survey(struct draft *d, const struct tree *node, struct app *app)
{
    const struct tree *name = tree_get(node, "name"), *cwd = tree_get(node, "cwd");
    const struct tree *port = tree_path(node, "env_production.PORT");
    const struct tree *instances = tree_get(node, "instances");
    *app = (struct app){.node = node};
    app->name = draft_name(d, tree_is_text(name) ? name->text : SLICE("app"));
    app->cwd = path_join(&d->arena, node->source->dir, tree_is_text(cwd) ? cwd->text.ptr : ".");
    if (!tree_is_text(port))
        port = tree_path(node, "env.PORT");
    app->port = tree_is_text(port) ? text_number(port->text) : 0;
    app->many = tree_is_text(instances) && !slice_is(instances->text, "1");
}

static void write_instances(struct draft *d, const struct app *app)
{
    const struct tree *instances = tree_get(app->node, "instances");
    unsigned n = app->many ? text_number(instances->text) : 1;
    if (app->port && app->many) {
        draft_line(d, "port = \"auto\"");
        draft_to_do(d, instances,
                    "the instances of %s shared port %u: each has one of its own "
                    "now, and has to listen on the variable PORT",
                    app->name, app->port);
    } else if (app->port) {
        draft_line(d, "port = %u", app->port);
    }
    if (app->many && n < 2)
        draft_comment(d, "One for each CPU, said pm2 (%s): change the 4.", instances->text.ptr);
    if (app->many)
        draft_line(d, "instances = %u", n < 2 ? 4 : n);
}

static void write_app(struct draft *d, const struct app *app)
{
    draft_section(d, app->name);
    write_command(d, app);
    if (strcmp(app->cwd, d->dir) != 0 && path_is_folder(app->cwd))
        draft_string(d, "cwd", slice_of(path_from(&d->arena, d->dir, app->cwd)));
    else if (!path_is_folder(app->cwd))
        draft_lost(d, app->node, "its folder %s is not here: set cwd", app->cwd);
    write_instances(d, app);
    for (const struct tree *at = app->node->first; at; at = at->next)
        write_key(d, app, at);
    write_unknown(d, app);
    write_env(d, app);
}

static void write_routes(struct draft *d, const struct app *apps, size_t count)
{
    size_t webs = 0;
    for (size_t i = 0; i < count; i++)
        webs += apps[i].port != 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = apps[i].name;
        if (apps[i].port)
            draft_route(d, webs == 1 ? "/*" : text_format(&d->arena, "/%s/*", name), name,
                        webs == 1 ? NULL : text_format(&d->arena, "/%s", name));
    }
}

/* The list of apps, in whichever way the file is written; NULL: there is none. */
static const struct tree *apps_of(struct draft *d, const struct tree *root)
{
    const struct tree *list = root->type == TREE_MAP ? tree_get(root, "apps") : root;
    if (!list && tree_get(root, "script"))
        list = root;
    if (!list || list->type != TREE_MAP)
        return list;
    struct tree *one = tree_new(&d->arena, TREE_LIST, list);
    tree_add(&d->arena, one, SLICE(""), list);
    return one;
}

static void write_head(struct draft *d, const struct tree *root, const struct app *apps,
                       size_t count)
{
    unsigned listen = 8000;
    for (size_t i = 0; i < count; i++)
        if (apps[i].port == listen && !apps[i].many) {
            listen += 80;
            i = (size_t)-1;
        }
    buf_addf(&d->out, "\n[server]\nlisten = \"127.0.0.1:%u\"\n", listen);
    draft_comment(d,
                  "Only what stands here runs; without this line, what lies in workers/, too.");
    draft_line(d, "discover = false");
    for (const struct tree *at = root->type == TREE_MAP ? root->first : NULL; at; at = at->next)
        if (!slice_is(at->key, "apps") && !tree_get(root, "script"))
            draft_lost(d, at, "%.60s: not known to nodey import", at->key.ptr);
}

static int write_all(struct draft *d, const struct tree *root)
{
    const struct tree *list = apps_of(d, root);
    struct app *apps;
    size_t count = 0;
    if (!list || list->type != TREE_LIST || list->count == 0)
        return tree_fail(root, d->err, "an ecosystem file has a list of apps");
    if (list->count > PM2_MAX_APPS)
        return tree_fail(list, d->err, "more than %d apps", PM2_MAX_APPS);
    apps = arena_alloc(&d->arena, list->count * sizeof(*apps));
    for (const struct tree *at = list->first; at; at = at->next) {
        if (at->type != TREE_MAP)
            return tree_fail(at, d->err, "an app is an object");
        survey(d, at, &apps[count++]);
    }
    write_head(d, root, apps, count);
    for (size_t i = 0; i < count; i++)
        write_app(d, &apps[i]);
    write_routes(d, apps, count);
    return 0;
}

static bool is_json(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".json") == 0;
}

int pm2_import(struct draft *d, const char *path, const char *shown)
{
    struct buf json = {0};
    struct source source = {shown, file_folder(&d->arena, path), true};
    const struct tree *root = NULL;
    if (!source.dir)
        return err_set(d->err, -1, "%s: %s", shown, strerror(errno));
    if (is_json(path))
        root = tree_read(&d->arena, path, shown, NULL, d->err);
    else if (pm2node_run(path, shown, PM2_PATIENCE_MS, YAML_MAX_FILE, &json, d->err) == 0) {
        struct source *kept = arena_alloc(&d->arena, sizeof(*kept));
        *kept = source;
        root = tree_parse(&d->arena, buf_slice(&json), kept, NULL, d->err);
    }
    buf_deinit(&json);
    return root ? write_all(d, root) : -1;
}
