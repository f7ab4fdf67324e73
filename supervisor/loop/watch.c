#include "loop/watch.h"

#include <stdlib.h>

#include "base/slice.h"
#include "loop/loop.h"

/* One folder.  Lives until libuv has let go of its handle. */
struct watched {
    uv_fs_event_t handle;
    struct life life;
    struct watch *watch;
    char *path;
    bool stale; /* something happened to the folder itself: look for it anew */
};

static void on_gone(struct life *life)
{
    struct watched *folder = container_of(life, struct watched, life);
    xfree(folder->path);
    xfree(folder);
}

static void on_quiet(struct timer *timer)
{
    struct watch *watch = container_of(timer, struct watch, quiet);
    watch->first_ms = 0;
    watch->ops->changed(watch);
}

static void note_change(struct watch *watch)
{
    uint64_t now = loop_now(watch->loop);
    if (!watch->first_ms)
        watch->first_ms = now;
    uint64_t latest = watch->first_ms + WATCH_LATEST_MS;
    uint64_t wait = latest > now ? latest - now : 0;
    timer_start(watch->loop, &watch->quiet, MIN(wait, (uint64_t)WATCH_QUIET_MS), on_quiet);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct life *life = handle->data;
    struct watched *folder = container_of(life, struct watched, life);
    struct watch *watch = folder->watch;
    const char *slash = strrchr(folder->path, '/');
    (void)events;
    /* libuv's way to say that it was removed or renamed: its own name. */
    if (name && strcmp(name, slash ? slash + 1 : folder->path) == 0)
        folder->stale = true;
    if (status < 0 || !name || watch->ops->matters(watch, name))
        note_change(watch);
}

static void unwatch(struct watched *folder)
{
    life_close((uv_handle_t *)&folder->handle);
    life_drop(&folder->life);
}

static struct watched *watch_folder(struct watch *watch, const char *path)
{
    struct watched *folder = xcalloc(1, sizeof(*folder));
    folder->watch = watch;
    folder->path = xstrdup(path);
    life_init(&folder->life, on_gone);
    int rc = uv_fs_event_init(&watch->loop->uv, &folder->handle);
    if (rc == 0) {
        life_adopt(&folder->life, (uv_handle_t *)&folder->handle);
        uv_unref((uv_handle_t *)&folder->handle);
        rc = uv_fs_event_start(&folder->handle, on_event, path, 0);
        if (rc == 0)
            return folder;
        life_close((uv_handle_t *)&folder->handle);
    }
    watch->refused += rc != UV_ENOENT && rc != UV_ENOTDIR;
    life_drop(&folder->life);
    return NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void watch_init(struct watch *watch, struct loop *loop, const struct watch_ops *ops)
{
    *watch = (struct watch){.loop = loop, .ops = ops};
}

/* Sorted, each once.  Returns how many; the caller frees the array, not the paths. */
static const char **sort_paths(const char *const *folders, size_t *count)
{
    const char **paths = xcalloc(*count + 1, sizeof(*paths));
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        paths[i] = folders[i];
    qsort(paths, *count, sizeof(*paths), by_path);
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || strcmp(paths[i], paths[kept - 1]) != 0)
            paths[kept++] = paths[i];
    *count = kept;
    return paths;
}

static struct watched *watch_another(struct watch *watch, const char *path)
{
    if (watch->count < WATCH_MAX_FOLDERS)
        return watch_folder(watch, path);
    watch->refused++;
    return NULL;
}

/* Both lists are sorted: what both name stays as it is. */
void watch_set(struct watch *watch, const char *const *folders, size_t count)
{
    const char **paths = sort_paths(folders, &count);
    struct watched **old = watch->folders, **end = old + watch->count;
    struct watched **kept = xcalloc(count + 1, sizeof(struct watched *));
    watch->count = 0;
    watch->refused = 0;
    for (size_t i = 0; i < count; i++) {
        struct watched *folder = NULL;
        while (old < end && strcmp((*old)->path, paths[i]) < 0)
            unwatch(*old++);
        if (old < end && strcmp((*old)->path, paths[i]) == 0)
            folder = *old++;
        if (folder && folder->stale) {
            unwatch(folder);
            folder = NULL;
        }
        if (!folder)
            folder = watch_another(watch, paths[i]);
        if (folder)
            kept[watch->count++] = folder;
    }
    while (old < end)
        unwatch(*old++);
    xfree(watch->folders);
    xfree(paths);
    watch->folders = kept;
}

void watch_deinit(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        unwatch(watch->folders[i]);
    xfree(watch->folders);
    timer_stop(watch->loop, &watch->quiet);
    *watch = (struct watch){0};
}
