#include "app/live.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
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
};

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

static void add_surroundings(struct files *files, const struct config *config,
                             const char *script)
{
    char *folder = folder_of(script);
    stamp_walk(folder, add_source, files);
    add_packages(files, script_kind(script), folder);
    add_packages(files, script_kind(script), config->dir);
    xfree(folder);
}

/* Another program's script is not this one's business. */
static bool is_foreign(const struct config *config, const struct pool *pool, const char *path)
{
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
    static const char *const names[] = {"node_modules", "__pycache__", "coverage"};
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

static struct files files_of(const struct pool *pool, const struct config *config, bool whole)
{
    struct files files = {0};
    const struct worker_config *w = pool->config;
    const struct ready *ready = pool_declaration(pool);
    if (w->script)
        add_path(&files, w->script, false);
    for (size_t i = 0; ready && i < ready->file_count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(ready->files[i]));
        if (path[0] == '/' && !is_generated(config, path))
            add_path(&files, path, false);
    }
    for (size_t i = 0; i < w->watch.count; i++) {
        size_t before = files.count;
        stamp_walk(w->watch.items[i], add_walked, &files);
        if (files.count == before)
            add_path(&files, w->watch.items[i], false);
    }
    if (whole && w->script) {
        add_surroundings(&files, config, w->script);
        leave_out_foreign(&files, config, pool);
    }
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
 * if all that is there was known.  A new folder is none: programs make them for their data.
 */
static const struct seen *find_change(const struct subject *s, const struct files *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct seen *seen = &now->items[i], *before = find(&s->files, seen->path);
        if (!before && seen->is_folder && seen->stamp == WALKED)
            continue;
        if (before ? before->stamp != seen->stamp
                   : seen->stamp && (seen->mtime_ns >= s->begun_ns ||
                                     (s->whole && is_walked(s, seen->path))))
            return seen;
    }
    return NULL;
}

/* Did the program write this itself, as it started, as it has done again and again? */
static bool is_loop(struct subject *s, const struct seen *seen)
{
    bool own = s->ready_ns && seen->mtime_ns >= s->begun_ns && seen->mtime_ns <= s->ready_ns;
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
    if (is_loop(s, seen)) {
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
    buf_addf(report, "worker %s: %s\n", s->name, why);
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
    stamp_walk(workers, add_folder, &folders);
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
    if (live->watch.refused && !live->told_of_refusal)
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

static void on_look(struct task *task)
{
    struct live *live = container_of(task, struct live, look);
    struct buf report = {0}; /* the pools tell the log */
    look(live, live->watching ? &report : NULL);
    buf_deinit(&report);
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
    task_init(&live->look, on_look);
    watch_init(&live->watch, loop, &watch_ops);
    live_pools_changed(live);
}

void live_stop(struct live *live)
{
    task_cancel(&live->look);
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
    loop_defer(live->loop, &live->look);
}

void live_pool_failed(struct live *live)
{
    loop_defer(live->loop, &live->look);
}
