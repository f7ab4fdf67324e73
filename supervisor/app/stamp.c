#include "app/stamp.h"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "base/slice.h"

struct walk {
    void (*visit)(void *arg, const char *path, bool is_folder);
    void *arg;
    const struct stamp_filter *filter;
    unsigned left;
    bool cut; /* there was more */
};

/* FNV-1a, over the fields one after the other. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3u;
    return hash;
}

static uint64_t nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

uint64_t stamp_of(const char *path, uint64_t *mtime_ns)
{
    struct stat st;
    if (stat(path, &st))
        return 0;
    uint64_t hash = 0xcbf29ce484222325u;
    hash = mix(hash, st.st_ino);
    hash = mix(hash, (uint64_t)st.st_size);
    hash = mix(hash, nanoseconds(&st.st_mtim));
    hash = mix(hash, st.st_mode);
    if (mtime_ns)
        *mtime_ns = nanoseconds(&st.st_mtim);
    return hash ? hash : 1;
}

bool stamp_ignores(const char *name)
{
    static const char *const patterns[] = {
        ".*",    "*~",    "*.pyc",        "*.swp",       "*.log",  "#*#",        "4913",
        "venv",  "*.tmp", "node_modules", "__pycache__", "target", "*.egg-info", "dist",
        "build", "logs",  "*.pid",        "coverage",    "*.sock",
    };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return false;
}

static bool is_left_out(const struct walk *w, const char *path, const char *name,
                        bool is_folder)
{
    const struct stamp_filter *filter = w->filter;
    return filter && filter->leaves_out(filter->arg, path, name, is_folder);
}

static void walk(struct walk *w, const char *folder, unsigned depth);

static void walk_entry(struct walk *w, const char *path, const char *name, unsigned depth)
{
    struct stat st;
    if (stat(path, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) ||
        is_left_out(w, path, name, S_ISDIR(st.st_mode)))
        return;
    w->cut = w->left == 0;
    if (w->cut)
        return;
    w->left--;
    if (S_ISREG(st.st_mode))
        w->visit(w->arg, path, /* is_folder= */ false);
    else if (depth <= STAMP_MAX_DEPTH)
        walk(w, path, depth);
}

static void walk(struct walk *w, const char *folder, unsigned depth)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    w->visit(w->arg, folder, /* is_folder= */ true);
    for (const struct dirent *entry; !w->cut && (entry = readdir(dir));) {
        if (stamp_ignores(entry->d_name))
            continue;
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        walk_entry(w, path, entry->d_name, depth + 1);
        xfree(path);
    }
    closedir(dir);
}

bool stamp_walk(const char *folder, const struct stamp_filter *filter,
                void (*visit)(void *arg, const char *path, bool is_folder), void *arg)
{
    struct walk w = {.visit = visit, .arg = arg, .filter = filter, .left = STAMP_MAX_FILES};
    walk(&w, folder, 0);
    return !w.cut;
}
