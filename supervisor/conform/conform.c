#include "conform/conform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/environment.h"
#include "app/sdk.h"
#include "client/session.h"
#include "client/show.h"
#include "config/script.h"
#include "conform/checks.h"

/* What is run, and in which surroundings. */
struct program {
    struct arena arena;
    struct sdk sdk;
    struct string_list argv;
    const char *script;       /* absolute; NULL: a command */
    const char **env;         /* as a supervisor gives it */
    const char **env_by_hand; /* without NODEY */
    char *cwd;
    char *name;
    bool may_be_silent;
    struct config *config;              /* found here; NULL: there is none, or it is bad */
    const struct worker_config *worker; /* whose program it is; NULL: nobody's */
};

/* --------------------------------------------------------------------- program */

static const char *keep(struct program *p, char *text)
{
    const char *kept = arena_strdup(&p->arena, slice_of(text));
    xfree(text);
    return kept;
}

static bool is_ours(const char *entry)
{
    static const char *const names[] = {"NODEY", "PYTHONPATH=", "NODE_PATH="};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static bool has_entry(const struct string_list *env, const char *entry)
{
    size_t len = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], entry, len) == 0)
            return true;
    return false;
}

/* A worker's own settings replace what it would inherit, or all of it but PATH. */
static bool is_inherited(const struct program *p, const char *entry)
{
    if (!p->worker)
        return true;
    bool is_path = strncmp(entry, "PATH=", 5) == 0;
    return !has_entry(&p->worker->env, entry) && (is_path || !p->worker->env_clear);
}

static void make_env(struct program *p)
{
    size_t n = 0, at = 0, more = p->worker ? p->worker->env.count : 0;
    while (environ[n])
        n++;
    const char **env = arena_alloc(&p->arena, (n + more + 12) * sizeof(*env));
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]) && is_inherited(p, environ[i]))
            env[at++] = environ[i];
    for (size_t i = 0; i < more; i++)
        env[at++] = p->worker->env.items[i];
    env[at++] = "PYTHONUNBUFFERED=1";
    env[at++] = keep(p, environment_path("PYTHONPATH", p->sdk.python));
    env[at++] = keep(p, environment_path("NODE_PATH", p->sdk.node));
    p->env_by_hand = arena_alloc(&p->arena, (at + 1) * sizeof(*env));
    memcpy(p->env_by_hand, env, at * sizeof(*env));
    p->env_by_hand[at] = NULL;
    env[at++] = "NODEY=1";
    env[at++] = "NODEY_PROTOCOL=1";
    env[at++] = "NODEY_FD=3";
    env[at++] = keep(p, xasprintf("NODEY_WORKER=%s", p->name));
    env[at++] = "NODEY_INSTANCE=0";
    env[at++] = keep(p, xasprintf("NODEY_MAX_LINE=%d", CANDIDATE_MAX_LINE));
    env[at] = NULL;
    p->env = env;
}

static void add_arguments(struct program *p, const struct word_list *words, size_t from)
{
    size_t count = 0;
    const char **items =
        arena_alloc(&p->arena, (p->argv.count + words->count + 1) * sizeof(*items));
    for (size_t i = 0; i < p->argv.count; i++)
        items[count++] = p->argv.items[i];
    for (size_t i = from; i < words->count; i++)
        items[count++] = words->items[i];
    items[count] = NULL;
    p->argv = (struct string_list){items, count};
}

static int find_script(struct program *p, const char *shown, struct err *err)
{
    struct stat st;
    char *path = realpath(shown, NULL);
    if (!path && errno == ENOENT && !strchr(shown, '/'))
        return err_set(
            err, -1, "%s: No such file or directory, and no worker here has that name", shown);
    if (!path)
        return err_set(err, -1, "%s: %s", shown, strerror(errno));
    const char *kept = keep(p, path);
    p->script = kept;
    if (stat(kept, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, -1, "%s is a folder: name its main file", shown);
    struct script script = {.path = kept, .shown = shown, .dir = p->cwd};
    p->may_be_silent = script_kind(kept) == SCRIPT_OTHER;
    return script_argv(&p->arena, &script, &p->argv, err);
}

/* A worker of the configuration here, unless a file has that name. */
static bool find_worker(struct program *p, const char *name)
{
    struct stat st;
    if (!p->config || (stat(name, &st) == 0 && S_ISREG(st.st_mode)))
        return false;
    p->worker = config_worker(p->config, name);
    if (!p->worker)
        return false;
    xfree(p->cwd);
    p->cwd = xstrdup(p->worker->cwd);
    p->argv = p->worker->command;
    p->script = p->worker->script;
    p->may_be_silent = p->worker->ready_auto;
    return true;
}

static int find_program(struct program *p, const struct conform_options *options,
                        struct err *err)
{
    const char *first = options->words.items[0];
    const char *base = strrchr(first, '/') ? strrchr(first, '/') + 1 : first;
    p->name = xstrndup(base, strcspn(base, "."));
    p->may_be_silent = true;
    p->cwd = realpath(".", NULL);
    if (!p->cwd)
        return err_set(err, -1, "cannot tell the current folder: %s", strerror(errno));
    if (!options->is_command && !find_worker(p, first) && find_script(p, first, err))
        return -1;
    add_arguments(p, &options->words, options->is_command ? 0 : 1);
    return 0;
}

static int prepare(struct program *p, const struct conform_options *options, struct err *err)
{
    struct err ignored;
    p->config = config_load(NULL, &ignored);
    if (find_program(p, options, err))
        return -1;
    char *data_dir =
        p->config ? xstrdup(p->config->server.data_dir) : xasprintf("%s/.nodey", p->cwd);
    int rc = sdk_unpack(&p->sdk, data_dir, err);
    if (rc == 0) {
        struct worker_config worker = {.script = p->script};
        sdk_link_modules(&p->sdk, &(struct config){.workers = &worker, .worker_count = 1});
        sdk_resolve_argv(&p->sdk, &p->arena, &p->argv);
        make_env(p);
    }
    xfree(data_dir);
    return rc;
}

static void release(struct program *p)
{
    sdk_deinit(&p->sdk);
    arena_deinit(&p->arena);
    config_release(p->config);
    xfree(p->cwd);
    xfree(p->name);
}

/* ---------------------------------------------------------------------- summary */

static const struct {
    unsigned feature;
    const char *name;
} feature_names[] = {
    {FEATURE_STREAM, "stream"}, {FEATURE_CANCEL, "cancel"}, {FEATURE_ASK, "ask"},
    {FEATURE_NESTED, "nested"}, {FEATURE_PING, "ping"},     {FEATURE_DRAIN, "drain"},
    {FEATURE_EVENTS, "events"},
};

/* The features that are declared, and that have failed a check or have not. */
static size_t list_features(const struct talk *t, bool failed, const char *quote,
                            struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(feature_names); i++) {
        unsigned feature = feature_names[i].feature;
        bool bad = report_count(t->report, CHECK_FAIL, feature) > 0;
        if (t->ready.features & feature && bad == failed)
            buf_addf(out, "%s%s%s%s", count++ ? (*quote ? "," : ", ") : "", quote,
                     feature_names[i].name, quote);
    }
    return count;
}

struct verdict {
    bool level0;
    bool level1; /* also when nothing is declared */
    bool declares;
    size_t ok, failed, notes;
};

static struct verdict judge(const struct talk *t)
{
    const struct report *r = t->report;
    size_t failed = report_count_all(r, CHECK_FAIL), failed0 = report_count(r, CHECK_FAIL, 0);
    return (struct verdict){.level0 = failed0 == 0,
                            .level1 = failed == 0,
                            .declares = t->ready.features != 0,
                            .ok = report_count_all(r, CHECK_OK),
                            .failed = failed,
                            .notes = report_count_all(r, CHECK_NOTE)};
}

static void print_level(const struct talk *t, const struct verdict *v)
{
    struct buf good = {0}, bad = {0};
    size_t good_count = list_features(t, false, "", &good);
    size_t bad_count = list_features(t, true, "", &bad);
    if (!v->level0)
        fputs("level 0 is not reached", stdout);
    else if (!v->declares)
        fputs("level 0 is reached", stdout);
    else if (v->level1)
        printf("level 1 is reached (%s)", good_count ? buf_cstr(&good) : "");
    else
        printf("level 0 is reached, but not what is declared%s%s%s", bad_count ? " (" : "",
               bad_count ? buf_cstr(&bad) : "", bad_count ? ")" : "");
    buf_deinit(&good);
    buf_deinit(&bad);
}

static void print_summary(const struct talk *t, const struct verdict *v, const char *as,
                          bool finished)
{
    putchar('\n');
    if (as)
        printf("the golden transcripts of %s", as);
    else
        print_level(t, v);
    printf(": %zu ok, %zu failed", v->ok, v->failed);
    if (v->notes)
        printf(", %zu noted", v->notes);
    puts(finished ? "" : "; the rest was not tried");
}

static void print_json(const struct talk *t, const struct program *p, const struct verdict *v,
                       const char *as, bool finished)
{
    struct buf out = {0};
    const char *level = as || !v->level0 ? "null" : v->declares && v->level1 ? "1" : "0";
    buf_adds(&out, "{\"program\":[");
    for (size_t i = 0; i < p->argv.count; i++) {
        buf_adds(&out, i ? "," : "");
        json_write(&out, slice_of(p->argv.items[i]));
    }
    buf_addf(&out, "],\"ok\":%s,\"finished\":%s,\"level\":%s,\"features\":[",
             v->failed ? "false" : "true", finished ? "true" : "false", level);
    size_t count = list_features(t, false, "\"", &out);
    struct buf bad = {0};
    if (list_features(t, true, "\"", &bad))
        buf_addf(&out, "%s%s", count ? "," : "", buf_cstr(&bad));
    buf_addf(&out, "],\"failed_features\":[" SLICE_FMT "],\"checks\":", (int)bad.len, bad.ptr);
    report_write_json(t->report, &out);
    buf_adds(&out, "}\n");
    show_write(stdout, buf_slice(&out));
    buf_deinit(&bad);
    buf_deinit(&out);
}

/* -------------------------------------------------------------------------- run */

/* The path of a route that it serves, with something in the place of parameters. */
static const char *path_of(struct arena *arena, struct slice pattern)
{
    struct buf path = {0};
    for (size_t i = 0; i < pattern.len; i++) {
        bool starts = i > 0 && pattern.ptr[i - 1] == '/';
        if (starts && pattern.ptr[i] == '*')
            break;
        if (!starts || pattern.ptr[i] != ':') {
            buf_addc(&path, pattern.ptr[i]);
            continue;
        }
        buf_addc(&path, '1');
        while (i + 1 < pattern.len && pattern.ptr[i + 1] != '/')
            i++;
    }
    const char *kept = arena_strdup(arena, buf_slice(&path));
    buf_deinit(&path);
    return kept;
}

/* A GET if there is one. */
static void choose_route(struct talk *t, struct program *p)
{
    const struct ready_route *chosen = NULL;
    for (size_t i = 0; i < t->ready.route_count; i++) {
        const struct ready_route *route = &t->ready.routes[i];
        bool is_get = route->method.len == 0 || slice_is(route->method, "GET");
        if (!chosen || (is_get && t->method[0] != 'G')) {
            chosen = route;
            t->method = is_get ? "GET" : arena_strdup(&p->arena, route->method);
        }
    }
    t->path = chosen ? path_of(&p->arena, chosen->path) : keep(p, xasprintf("/%s", p->name));
}

static void note_strays(struct talk *t)
{
    if (!t->stray[0])
        return;
    report_begin(t->report, "prints nothing but frames on its protocol output", "15", 0);
    report_came(t->report, slice_of(t->stray));
    report_note(t->report, "print to stderr instead",
                "it is shown as a log line; what a client sent must never be printed there");
    report_end(t->report);
}

/* True when everything was tried. */
static bool run_checks(struct talk *t, struct program *p, const char *as)
{
    struct candidate_spec by_hand = *t->spec;
    by_hand.env = p->env_by_hand;
    if (as) {
        conform_check_golden(t, as, &by_hand);
        return true;
    }
    if (!conform_check_start(t))
        return false;
    choose_route(t, p);
    if (!conform_check_level0(t)) {
        note_strays(t);
        return false;
    }
    conform_check_features(t);
    if (t->ready.features)
        conform_check_by_hand(t, &by_hand);
    note_strays(t);
    return true;
}

static int run(struct program *p, const struct conform_options *options)
{
    struct candidate_spec spec = {p->argv.items, p->env, p->cwd};
    struct report report = {.colour = show_colour(stdout, options->no_color),
                            .quiet = options->as_json,
                            .verbose = options->verbose};
    struct talk talk = {.spec = &spec,
                        .report = &report,
                        .answer_ms = options->answer_ms ? options->answer_ms : TALK_ANSWER_MS,
                        .may_be_silent = p->may_be_silent,
                        .method = "GET",
                        .path = "/"};
    if (!options->as_json) {
        for (size_t i = 0; i < p->argv.count; i++)
            printf("%s%s", i ? " " : "", p->argv.items[i]);
        puts("\n");
        fflush(stdout);
    }
    bool finished = run_checks(&talk, p, options->as);
    struct verdict verdict = judge(&talk);
    if (options->as_json)
        print_json(&talk, p, &verdict, options->as, finished);
    else
        print_summary(&talk, &verdict, options->as, finished);
    talk_deinit(&talk);
    report_deinit(&report);
    return verdict.failed || !finished ? EXIT_REFUSED : 0;
}

int conform_run(const struct conform_options *options)
{
    struct program program = {0};
    struct err err;
    int rc = EXIT_REFUSED;
    if (options->as && !conform_has_golden(options->as))
        return usage_error("check",
                           "--as knows fib, echo, shapes, ask, slow, noisy, broken, "
                           "streams, sockets and events, not \"%s\"",
                           options->as);
    if (prepare(&program, options, &err))
        fprintf(stderr, "nodey: %s\n", err.text);
    else
        rc = run(&program, options);
    release(&program);
    return rc;
}
