#include "app/live.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "app/stamp.h"
#include "config/script.h"
#include "loop/loop.h"

/* A file, or a folder for what is created or removed in it. */
struct seen {
    char *path;
    uint64_t stamp;
    uint64_t mtime_ns;
    bool is_folder;
    bool around; /* nobody has said that it is a part of the program */
};

struct files {
    struct seen *items; /* sorted by path once they are complete */
    size_t count;
    size_t cap;
};

struct subject {
    struct list node;
    char *name; /* the pool's */
    struct files files;
    bool whole;        /* `files` holds all that is around the script */
    uint64_t begun_ns; /* wall clock: when this version was started */
    uint64_t ready_ns; /* wall clock: when it became ready; 0 = not yet */
    unsigned loops;    /* reloads in a row that it caused itself */
    bool due;          /* to be looked at */
};

enum { LOOK_MS = 20 };

/* What a service writes for so long after it was ready is of its start. */
static const uint64_t SETTLES_NS = 2000000000u;

static uint64_t wall_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* -------------------------------------------------------------------- files */

static void add_path(struct files *files, const char *path, bool is_folder)
{
    if (files->count == files->cap) {
        files->cap = MAX(files->cap * 2, (size_t)16);
        files->items = xrealloc(files->items, files->cap * sizeof(*files->items));
    }
    struct seen *seen = &files->items[files->count++];
    *seen = (struct seen){.path = xstrdup(path), .is_folder = is_folder};
    seen->stamp = stamp_of(path, &seen->mtime_ns);
}

enum { WALKED = 1 }; /* the stamp of such a folder */

/* Of a folder that was walked all files are known: what else happens in it is no change. */
static void add_walked(void *arg, const char *path, bool is_folder)
{
    struct files *files = arg;
    add_path(files, path, is_folder);
    if (is_folder)
        files->items[files->count - 1].stamp = WALKED;
}

/* Of all that lies around a script only this may be a part of it. */
static bool is_source(const char *path)
{
    static const char *const extensions[] = {".py",  ".js",  ".mjs",  ".cjs",  ".ts",
                                             ".mts", ".cts", ".json", ".toml", ".sh",
                                             ".rb",  ".pl",  ".lua",  ".php"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(extensions); i++)
        if (strcmp(dot, extensions[i]) == 0)
            return true;
    return false;
}

static void add_source(void *arg, const char *path, bool is_folder)
{
    if (is_folder || is_source(path))
        add_walked(arg, path, is_folder);
}

/* As above; what a service reads may as well be its data, if it is no code. */
static void add_code(void *arg, const char *path, bool is_folder)
{
    struct files *files = arg;
    const char *dot = strrchr(path, '.'), *name = strrchr(path, '/');
    bool is_data = dot && strcmp(dot, ".json") == 0 && strcmp(name, "/package.json") != 0;
    if (!is_folder && (is_data || !is_source(path)))
        return;
    add_walked(arg, path, is_folder);
    files->items[files->count - 1].around = true;
}

static void files_deinit(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        xfree(files->items[i].path);
    xfree(files->items);
    *files = (struct files){0};
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

static void sort(struct files *files)
{
    if (files->count)
        qsort(files->items, files->count, sizeof(*files->items), by_path);
}

static const struct seen *find(const struct files *files, const char *path)
{
    struct seen key = {.path = (char *)path};
    return files->count
               ? bsearch(&key, files->items, files->count, sizeof(*files->items), by_path)
               : NULL;
}

/* "/a/b" of "/a/b/c"; the caller frees it. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
}

/* Where packages are installed to: what mends "no module named". */
static void add_packages(struct files *files, enum script_kind kind, const char *folder)
{
    static const char *const python[] = {"%s/.venv/lib/python3*/site-packages",
                                         "%s/venv/lib/python3*/site-packages", NULL};
    static const char *const node[] = {"%s/node_modules", NULL};
    const char *const *patterns = kind == SCRIPT_PYTHON ? python : node;
    for (size_t i = 0; patterns[i]; i++) {
        glob_t found;
        char pattern[4096];
        int len = snprintf(pattern, sizeof(pattern), patterns[i], folder);
        if (len >= (int)sizeof(pattern) || glob(pattern, GLOB_NOSORT, NULL, &found))
            continue;
        for (size_t j = 0; j < found.gl_pathc; j++)
            add_path(files, found.gl_pathv[j], /* is_folder= */ true);
        globfree(&found);
    }
}

/* Another program's script is not this one's business. */
static bool is_foreign(const struct config *config, const struct pool *pool, const char *path)
{
    for (size_t i = 0; i < config->files.count; i++) /* they are compared as what they say */
        if (strcmp(config->files.items[i], path) == 0)
            return true;
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct worker_config *w = &config->workers[i];
        if (w->script && strcmp(w->script, path) == 0)
            return strcmp(w->name, pool->config->name) != 0;
    }
    return false;
}

static void leave_out_foreign(struct files *files, const struct config *config,
                              const struct pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < files->count; i++) {
        if (is_foreign(config, pool, files->items[i].path))
            xfree(files->items[i].path);
        else
            files->items[kept++] = files->items[i];
    }
    files->count = kept;
}

static bool newest_serves(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->generation == pool->generation)
                return true;
    return false;
}

/* Within the project: .next/server/app.js, and whatever else tools have made. */
static bool is_generated(const struct config *config, const char *path)
{
    static const char *const names[] = {"node_modules", "__pycache__", "coverage", "venv"};
    size_t len = strlen(config->dir);
    if (strncmp(path, config->dir, len) != 0 || path[len] != '/')
        return false;
    for (const char *part = path + len + 1, *end; (end = strchr(part, '/')); part = end + 1) {
        struct slice name = {part, (size_t)(end - part)};
        if (*part == '.')
            return true;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (slice_is(name, names[i]))
                return true;
    }
    return false;
}

/* ------------------------------------------------------------- what is walked through */

struct outskirts {
    const struct config *config;
    const struct worker_config *program;
    bool alone; /* folders with programs of their own are left out */
};

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The file below the configuration's folder that a service's command names; or NULL. */
static char *file_of_service(const struct config *config, const struct worker_config *w)
{
    for (size_t i = 0; i < w->command.count; i++) {
        const char *word = w->command.items[i];
        struct stat st;
        char *path = word[0] == '/' ? xstrdup(word) : xasprintf("%s/%s", w->cwd, word);
        if (word[0] != '-' && is_below(path, config->dir) && !is_generated(config, path) &&
            stat(path, &st) == 0 && S_ISREG(st.st_mode))
            return path;
        xfree(path);
    }
    return NULL;
}

static char *file_of(const struct config *config, const struct worker_config *w)
{
    return w->is_service ? file_of_service(config, w) : w->script ? xstrdup(w->script) : NULL;
}

static bool holds_another(const struct outskirts *o, const char *folder)
{
    for (size_t i = 0; i < o->config->worker_count; i++) {
        const struct worker_config *w = &o->config->workers[i];
        char *file = w == o->program ? NULL : file_of(o->config, w);
        bool holds = file && is_below(file, folder);
        xfree(file);
        if (holds)
            return true;
    }
    return false;
}

/* By its name, or by where it lies: "*.tmp", "uploads", "static/cache". */
static bool is_ignored(const struct outskirts *o, const char *path, const char *name)
{
    const struct string_list *patterns = &o->program->ignore;
    for (size_t i = 0; i < patterns->count; i++) {
        const char *pattern = patterns->items[i];
        const char *bases[] = {o->config->dir, o->program->cwd};
        if (fnmatch(pattern, name, 0) == 0 || fnmatch(pattern, path, FNM_PATHNAME) == 0)
            return true;
        for (size_t j = 0; j < ARRAY_LEN(bases); j++)
            if (is_below(path, bases[j]) &&
                fnmatch(pattern, path + strlen(bases[j]) + 1, FNM_PATHNAME) == 0)
                return true;
    }
    return false;
}

static bool on_leaves_out(void *arg, const char *path, const char *name, bool is_folder)
{
    const struct outskirts *o = arg;
    return is_ignored(o, path, name) || strcmp(path, o->config->server.data_dir) == 0 ||
           (is_folder && o->alone && holds_another(o, path));
}

static void walk_for(struct files *files, const struct pool *pool,
                     const struct outskirts *outskirts, const char *folder,
                     void (*visit)(void *, const char *, bool))
{
    struct stamp_filter filter = {on_leaves_out, (void *)outskirts};
    if (!stamp_walk(folder, &filter, visit, files))
        pool_tell_once(pool,
                       "more than %d files lie below %s: not all of them are watched; name "
                       "what does not matter in `ignore`",
                       STAMP_MAX_FILES, folder);
}

static void add_surroundings(struct files *files, const struct pool *pool,
                             const struct outskirts *outskirts, const char *file)
{
    char *folder = folder_of(file);
    const struct config *config = outskirts->config;
    walk_for(files, pool, outskirts, folder, outskirts->alone ? add_code : add_source);
    if (!newest_serves(pool)) {
        add_packages(files, script_kind(file), folder);
        add_packages(files, script_kind(file), config->dir);
    }
    leave_out_foreign(files, config, pool);
    xfree(folder);
}

static void add_loaded(struct files *files, const struct pool *pool,
                       const struct config *config)
{
    const struct ready *ready = pool_declaration(pool);
    for (size_t i = 0; ready && i < ready->file_count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(ready->files[i]));
        if (path[0] == '/' && !is_generated(config, path))
            add_path(files, path, false);
    }
}

static struct files files_of(const struct pool *pool, const struct config *config, bool whole)
{
    struct files files = {0};
    const struct worker_config *w = pool->config;
    struct outskirts outskirts = {.config = config, .program = w};
    char *file = file_of(config, w);
    if (file)
        add_path(&files, file, false);
    add_loaded(&files, pool, config);
    for (size_t i = 0; i < w->watch.count; i++) {
        size_t before = files.count;
        walk_for(&files, pool, &outskirts, w->watch.items[i], add_walked);
        if (files.count == before)
            add_path(&files, w->watch.items[i], false);
    }
    outskirts.alone = w->is_service;
    if (file && (whole || w->is_service))
        add_surroundings(&files, pool, &outskirts, file);
    xfree(file);
    sort(&files);
    return files;
}

/* ----------------------------------------------------------------- subjects */

static struct subject *subject_of(const struct live *live, const char *name)
{
    list_each (at, &live->subjects) {
        struct subject *s = container_of(at, struct subject, node);
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static void subject_free(struct subject *s)
{
    list_del(&s->node);
    files_deinit(&s->files);
    xfree(s->name);
    xfree(s);
}

static void subject_new(struct live *live, const struct pool *pool)
{
    struct subject *s = xcalloc(1, sizeof(*s));
    s->name = xstrdup(pool->config->name);
    s->begun_ns = wall_clock_ns();
    s->whole = true;
    s->files = files_of(pool, live->host.config(live->host.arg), s->whole);
    list_add(&live->subjects, &s->node);
}

/* All that lay beside this file was known. */
static bool is_walked(const struct subject *s, const char *path)
{
    char *folder = folder_of(path);
    const struct seen *seen = find(&s->files, folder);
    xfree(folder);
    return seen && seen->is_folder && seen->stamp == WALKED;
}

/*
 * What has changed among its files since they were last looked at, or NULL.  One that
 * was not known before has changed if it is younger than the program that loaded it, or
 * if all that is there was known.  A new folder is none: programs make them for their data;
 * nor is what comes up around a service that runs.
 */
static const struct seen *find_change(const struct subject *s, const struct files *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct seen *seen = &now->items[i], *before = find(&s->files, seen->path);
        if (!before &&
            ((seen->is_folder && seen->stamp == WALKED) || (seen->around && !s->whole)))
            continue;
        if (before ? before->stamp != seen->stamp
                   : seen->stamp && (seen->mtime_ns >= s->begun_ns ||
                                     (s->whole && is_walked(s, seen->path))))
            return seen;
    }
    return NULL;
}

/* Did the program write this itself, as it started, as it has done again and again? */
static bool is_loop(struct subject *s, const struct pool *pool, const struct seen *seen)
{
    bool is_service = pool->config->is_service; /* one without a check is ready late */
    uint64_t until = is_service ? MAX(s->ready_ns, s->begun_ns) + SETTLES_NS : s->ready_ns;
    bool own = until && seen->mtime_ns >= s->begun_ns && seen->mtime_ns <= until;
    s->loops = own ? s->loops + 1 : 0;
    return s->loops > LIVE_MAX_LOOPS;
}

static const char *shown(const struct config *config, const char *path)
{
    size_t len = strlen(config->dir);
    return strncmp(path, config->dir, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

static void act(struct live *live, struct subject *s, struct pool *pool,
                const struct seen *seen, struct buf *report)
{
    const char *path = shown(live->host.config(live->host.arg), seen->path);
    char why[512];
    if (is_loop(s, pool, seen)) {
        if (s->loops == LIVE_MAX_LOOPS + 1)
            pool_tell(pool, NULL, LOG_WARN,
                      "%s is written whenever the program starts: that does not reload it any "
                      "more, other changes do",
                      path);
        return;
    }
    snprintf(why, sizeof(why), "%.400s %s", path, seen->stamp ? "changed" : "was removed");
    s->begun_ns = wall_clock_ns();
    s->ready_ns = 0;
    buf_addf(report, "%s %s: %s\n", pool_kind(pool), s->name, why);
    pool_renew(pool, why);
}

/* Takes the list of files. */
static void keep_files(struct subject *s, struct files files, bool whole)
{
    files_deinit(&s->files);
    s->files = files;
    s->whole = whole;
}

/* What was known keeps its stamp, so that its change is still one when it is looked for. */
static void carry_stamps(const struct subject *s, struct files *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct seen *before = find(&s->files, now->items[i].path);
        if (before)
            now->items[i].stamp = before->stamp;
    }
}

/* report: NULL = only takes note of what it is made of. */
static void check_subject(struct live *live, struct subject *s, struct buf *report)
{
    struct pool *pool = pools_find(live->pools, slice_of(s->name));
    s->due = false;
    if (!pool)
        return;
    bool whole = !newest_serves(pool);
    struct files now = files_of(pool, live->host.config(live->host.arg), whole);
    const struct seen *change = report ? find_change(s, &now) : NULL;
    if (change)
        act(live, s, pool, change, report);
    if (!report)
        carry_stamps(s, &now);
    keep_files(s, now, whole);
}

/* ------------------------------------------------------------------ folders */

static void add_folders(struct files *folders, const struct files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        char *folder = folder_of(files->items[i].path);
        add_path(folders, folder, true);
        xfree(folder);
        if (files->items[i].is_folder)
            add_path(folders, files->items[i].path, true);
    }
}

static void add_folder(void *arg, const char *path, bool is_folder)
{
    if (is_folder)
        add_path(arg, path, true);
}

static void watch_folders(struct live *live)
{
    const struct config *config = live->host.config(live->host.arg);
    struct files folders = {0};
    if (!live->watching)
        return;
    char *workers = xasprintf("%s/workers", config->dir);
    add_path(&folders, config->dir, true);
    stamp_walk(workers, NULL, add_folder, &folders);
    xfree(workers);
    for (size_t i = 0; i < config->files.count; i++) {
        char *folder = folder_of(config->files.items[i]);
        add_path(&folders, folder, true);
        xfree(folder);
    }
    list_each (at, &live->subjects)
        add_folders(&folders, &container_of(at, struct subject, node)->files);
    const char **paths = xcalloc(folders.count + 1, sizeof(*paths));
    for (size_t i = 0; i < folders.count; i++)
        paths[i] = folders.items[i].path;
    watch_set(&live->watch, paths, folders.count);
    xfree(paths);
    files_deinit(&folders);
    if (live->watch.count >= WATCH_MAX_FOLDERS && !live->told_of_refusal)
        log_line(
            LOG_WARN, "nodey",
            "%u folders are not watched for changes, because %d are: name in `ignore` what "
            "does not matter, or run nodey reload after a change",
            live->watch.refused, WATCH_MAX_FOLDERS);
    else if (live->watch.refused && !live->told_of_refusal)
        log_line(LOG_WARN, "nodey",
                 "%u folders cannot be watched for changes: raise fs.inotify.max_user_watches, "
                 "or run nodey reload after a change",
                 live->watch.refused);
    live->told_of_refusal = live->watch.refused > 0;
}

static void look(struct live *live, struct buf *report)
{
    list_each (at, &live->subjects)
        check_subject(live, container_of(at, struct subject, node), report);
    watch_folders(live);
}

static void on_look(struct timer *timer)
{
    struct live *live = container_of(timer, struct live, look);
    struct buf report = {0}; /* the pools tell the log */
    list_each (at, &live->subjects) {
        struct subject *s = container_of(at, struct subject, node);
        if (s->due)
            check_subject(live, s, live->watching ? &report : NULL);
    }
    watch_folders(live);
    buf_deinit(&report);
}

static void look_soon(struct live *live, struct subject *s)
{
    s->due = true;
    if (!timer_runs(&live->look))
        timer_start(live->loop, &live->look, LOOK_MS, on_look);
}

static void on_changed(struct watch *watch)
{
    struct live *live = container_of(watch, struct live, watch);
    struct buf report = {0};
    live->host.reload(live->host.arg);
    look(live, &report);
    buf_deinit(&report);
}

static bool on_matters(struct watch *watch, const char *name)
{
    (void)watch;
    /* Of what begins with "." only these can matter. */
    if (name[0] == '.')
        return strncmp(name, ".env", 4) == 0 || strcmp(name, ".venv") == 0;
    return strcmp(name, "node_modules") == 0 || strcmp(name, "venv") == 0 ||
           !stamp_ignores(name);
}

/* ------------------------------------------------------------------- public */

static const struct watch_ops watch_ops = {.changed = on_changed, .matters = on_matters};

void live_pools_changed(struct live *live)
{
    list_each_safe (at, &live->subjects) {
        struct subject *s = container_of(at, struct subject, node);
        if (!pools_find(live->pools, slice_of(s->name)))
            subject_free(s);
    }
    list_each (at, &live->pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (!pool->leaving && !subject_of(live, pool->config->name))
            subject_new(live, pool);
    }
    watch_folders(live);
}

void live_look(struct live *live, struct buf *report)
{
    look(live, report);
}

void live_start(struct live *live, struct loop *loop, struct pools *pools,
                const struct live_host *host, bool watching)
{
    *live = (struct live){.watching = watching, .loop = loop, .pools = pools, .host = *host};
    list_init(&live->subjects);
    watch_init(&live->watch, loop, &watch_ops);
    live_pools_changed(live);
}

void live_stop(struct live *live)
{
    timer_stop(live->loop, &live->look);
    while (!list_empty(&live->subjects))
        subject_free(list_first(&live->subjects, struct subject, node));
    watch_deinit(&live->watch);
}

/* Not at once: a pool in the middle of a change must not be changed again. */
void live_pool_ready(struct live *live, const struct pool *pool)
{
    struct subject *s = subject_of(live, pool->config->name);
    if (s && !s->ready_ns && newest_serves(pool))
        s->ready_ns = wall_clock_ns();
    if (s)
        look_soon(live, s);
}

void live_pool_failed(struct live *live, const struct pool *pool)
{
    struct subject *s = subject_of(live, pool->config->name);
    if (s)
        look_soon(live, s);
}
