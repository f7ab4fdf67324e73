#include "app/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "app/sources.h"
#include "app/stamp.h"
#include "loop/loop.h"

struct subject {
    struct list node;
    char *name; /* the pool's */
    struct sources files;
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

static bool newest_serves(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->generation == pool->generation)
                return true;
    return false;
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
    sources_deinit(&s->files);
    xfree(s->name);
    xfree(s);
}

static void subject_new(struct live *live, const struct pool *pool)
{
    struct subject *s = xcalloc(1, sizeof(*s));
    s->name = xstrdup(pool->config->name);
    s->begun_ns = wall_clock_ns();
    s->whole = true;
    s->files = sources_of(pool, live->host.config(live->host.arg), s->whole);
    list_add(&live->subjects, &s->node);
}

/* All that lay beside this file was known. */
static bool is_walked(const struct subject *s, const char *path)
{
    char *folder = sources_folder(path);
    const struct source *seen = sources_find(&s->files, folder);
    xfree(folder);
    return seen && seen->is_folder && seen->stamp == SOURCES_WALKED;
}

/*
 * What has changed among its files since they were last looked at, or NULL.  One that
 * was not known before has changed if it is younger than the program that loaded it, or
 * if all that is there was known.  A new folder is none: programs make them for their data;
 * nor is what comes up around a service that runs.
 */
static const struct source *find_change(const struct subject *s, const struct sources *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct source *seen = &now->items[i],
                            *before = sources_find(&s->files, seen->path);
        if (!before &&
            ((seen->is_folder && seen->stamp == SOURCES_WALKED) || (seen->around && !s->whole)))
            continue;
        if (before ? before->stamp != seen->stamp
                   : seen->stamp && (seen->mtime_ns >= s->begun_ns ||
                                     (s->whole && is_walked(s, seen->path))))
            return seen;
    }
    return NULL;
}

/* Did the program write this itself, as it started, as it has done again and again? */
static bool is_loop(struct subject *s, const struct pool *pool, const struct source *seen)
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
                const struct source *seen, struct buf *report)
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
static void keep_files(struct subject *s, struct sources files, bool whole)
{
    sources_deinit(&s->files);
    s->files = files;
    s->whole = whole;
}

/* What was known keeps its stamp, so that its change is still one when it is looked for. */
static void carry_stamps(const struct subject *s, struct sources *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct source *before = sources_find(&s->files, now->items[i].path);
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
    struct sources now = sources_of(pool, live->host.config(live->host.arg), whole);
    const struct source *change = report ? find_change(s, &now) : NULL;
    if (change)
        act(live, s, pool, change, report);
    if (!report)
        carry_stamps(s, &now);
    keep_files(s, now, whole);
}

/* ------------------------------------------------------------------ folders */

static void add_folders(struct sources *folders, const struct sources *files)
{
    for (size_t i = 0; i < files->count; i++) {
        char *folder = sources_folder(files->items[i].path);
        sources_add(folders, folder, true);
        xfree(folder);
        if (files->items[i].is_folder)
            sources_add(folders, files->items[i].path, true);
    }
}

static void add_folder(void *arg, const char *path, bool is_folder)
{
    if (is_folder)
        sources_add(arg, path, true);
}

static void watch_folders(struct live *live)
{
    const struct config *config = live->host.config(live->host.arg);
    struct sources folders = {0};
    if (!live->watching)
        return;
    char *workers = xasprintf("%s/workers", config->dir);
    sources_add(&folders, config->dir, true);
    stamp_walk(workers, NULL, add_folder, &folders);
    xfree(workers);
    for (size_t i = 0; i < config->files.count; i++) {
        char *folder = sources_folder(config->files.items[i]);
        sources_add(&folders, folder, true);
        xfree(folder);
    }
    list_each (at, &live->subjects)
        add_folders(&folders, &container_of(at, struct subject, node)->files);
    const char **paths = xcalloc(folders.count + 1, sizeof(*paths));
    for (size_t i = 0; i < folders.count; i++)
        paths[i] = folders.items[i].path;
    watch_set(&live->watch, paths, folders.count);
    xfree(paths);
    sources_deinit(&folders);
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
