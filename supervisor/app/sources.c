#include "app/sources.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/stamp.h"
#include "config/script.h"

void sources_add(struct sources *files, const char *path, bool is_folder)
{
    if (files->count == files->cap) {
        files->cap = MAX(files->cap * 2, (size_t)16);
        files->items = xrealloc(files->items, files->cap * sizeof(*files->items));
    }
    struct source *seen = &files->items[files->count++];
    *seen = (struct source){.path = xstrdup(path), .is_folder = is_folder};
    seen->stamp = stamp_of(path, &seen->mtime_ns);
}

/* Of a folder that was walked all files are known: what else happens in it is no change. */
static void add_walked(void *arg, const char *path, bool is_folder)
{
    struct sources *files = arg;
    sources_add(files, path, is_folder);
    if (is_folder)
        files->items[files->count - 1].stamp = SOURCES_WALKED;
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
    struct sources *files = arg;
    const char *dot = strrchr(path, '.'), *name = strrchr(path, '/');
    bool is_data = dot && strcmp(dot, ".json") == 0 && strcmp(name, "/package.json") != 0;
    if (!is_folder && (is_data || !is_source(path)))
        return;
    add_walked(arg, path, is_folder);
    files->items[files->count - 1].around = true;
}

void sources_deinit(struct sources *files)
{
    for (size_t i = 0; i < files->count; i++)
        xfree(files->items[i].path);
    xfree(files->items);
    *files = (struct sources){0};
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct source *)a)->path, ((const struct source *)b)->path);
}

static void sort(struct sources *files)
{
    if (files->count)
        qsort(files->items, files->count, sizeof(*files->items), by_path);
}

const struct source *sources_find(const struct sources *files, const char *path)
{
    struct source key = {.path = (char *)path};
    return files->count
               ? bsearch(&key, files->items, files->count, sizeof(*files->items), by_path)
               : NULL;
}

char *sources_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
}

/* Where packages are installed to: what mends "no module named". */
static void add_packages(struct sources *files, enum script_kind kind, const char *folder)
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
            sources_add(files, found.gl_pathv[j], /* is_folder= */ true);
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

static void leave_out_foreign(struct sources *files, const struct config *config,
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

static void walk_for(struct sources *files, const struct pool *pool,
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

static void add_surroundings(struct sources *files, const struct pool *pool,
                             const struct outskirts *outskirts, const char *file, bool packages)
{
    char *folder = sources_folder(file);
    const struct config *config = outskirts->config;
    walk_for(files, pool, outskirts, folder, outskirts->alone ? add_code : add_source);
    if (packages) {
        add_packages(files, script_kind(file), folder);
        add_packages(files, script_kind(file), config->dir);
    }
    leave_out_foreign(files, config, pool);
    xfree(folder);
}

static void add_loaded(struct sources *files, const struct pool *pool,
                       const struct config *config)
{
    const struct ready *ready = pool_declaration(pool);
    for (size_t i = 0; ready && i < ready->file_count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), SLICE_FMT, SLICE_ARG(ready->files[i]));
        if (path[0] == '/' && !is_generated(config, path))
            sources_add(files, path, false);
    }
}

struct sources sources_of(const struct pool *pool, const struct config *config, bool whole)
{
    struct sources files = {0};
    const struct worker_config *w = pool->config;
    struct outskirts outskirts = {.config = config, .program = w};
    char *file = file_of(config, w);
    if (file)
        sources_add(&files, file, false);
    add_loaded(&files, pool, config);
    for (size_t i = 0; i < w->watch.count; i++) {
        size_t before = files.count;
        walk_for(&files, pool, &outskirts, w->watch.items[i], add_walked);
        if (files.count == before)
            sources_add(&files, w->watch.items[i], false);
    }
    outskirts.alone = w->is_service;
    if (file && (whole || w->is_service))
        add_surroundings(&files, pool, &outskirts, file, whole);
    xfree(file);
    sort(&files);
    return files;
}
