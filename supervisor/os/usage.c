#include "os/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/proc_file.h"

enum {
    TREE_MAX = 8192, /* processes that are looked at: a fork bomb must not stop us for long */
    MICROSECONDS = 1000000,
};

/* What usage is made of, of one process. */
struct look {
    uint64_t own_ticks;
    uint64_t ended_ticks; /* of its children that it has waited for */
    uint64_t threads;
    uint64_t pages;
    uint64_t shared_pages;
};

/* Fields of /proc/PID/stat, counted from the one behind the name, which is the third. */
enum { STAT_UTIME = 11, STAT_STIME, STAT_CUTIME, STAT_CSTIME, STAT_THREADS = 17, STAT_MAX };

static bool read_stat(pid_t pid, struct look *look)
{
    char path[64], text[1024];
    uint64_t fields[STAT_MAX] = {0};
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return false;
    char *at = strrchr(text, ')'); /* the name may hold anything, also blanks and brackets */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return false;
    at += 2;
    for (int i = 0; i < STAT_MAX && at; i++, at = strchr(at, ' ')) {
        at += *at == ' ';
        fields[i] = i ? strtoull(at, NULL, 10) : 0;
    }
    look->own_ticks = fields[STAT_UTIME] + fields[STAT_STIME];
    look->ended_ticks = fields[STAT_CUTIME] + fields[STAT_CSTIME];
    look->threads = fields[STAT_THREADS];
    return true;
}

static void read_memory(pid_t pid, struct look *look)
{
    char path[64], text[256], *at;
    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return;
    strtoull(text, &at, 10); /* what it has mapped says little */
    look->pages = strtoull(at, &at, 10);
    look->shared_pages = MIN(strtoull(at, NULL, 10), look->pages);
}

/* Another user's is not to be seen without rights: then it counts as none. */
static void add_io(struct usage *u, pid_t pid)
{
    char path[64], text[512];
    uint64_t read = 0, written = 0;
    snprintf(path, sizeof(path), "/proc/%ld/io", (long)pid);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return;
    proc_file_number(text, "read_bytes:", &read);
    proc_file_number(text, "write_bytes:", &written);
    u->read_bytes += read;
    u->written_bytes += written;
}

static uint64_t ticks_to_us(uint64_t ticks)
{
    return ticks * MICROSECONDS / (uint64_t)sysconf(_SC_CLK_TCK);
}

static bool look_at(struct usage *u, pid_t pid, struct look *look)
{
    *look = (struct look){0};
    if (!read_stat(pid, look))
        return false;
    read_memory(pid, look);
    u->cpu_us += ticks_to_us(look->own_ticks);
    u->threads += look->threads;
    u->processes++;
    add_io(u, pid);
    return true;
}

bool usage_add(struct usage *u, pid_t pid)
{
    struct look look;
    if (!look_at(u, pid, &look))
        return false;
    u->memory += look.pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

/* --------------------------------------------------------------------- a tree */

struct tree {
    pid_t *pids;
    size_t count;
};

static void add_children_of_thread(struct tree *tree, pid_t pid, const char *thread)
{
    char path[96], text[PROC_FILE_MAX], *end;
    snprintf(path, sizeof(path), "/proc/%ld/task/%.20s/children", (long)pid, thread);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return;
    for (char *at = text; tree->count < TREE_MAX; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            return;
        tree->pids[tree->count++] = (pid_t)child;
    }
}

/* A child belongs to the thread that made it. */
static void add_children(struct tree *tree, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
    DIR *threads = opendir(path);
    if (!threads)
        return;
    for (struct dirent *at; (at = readdir(threads));)
        if (at->d_name[0] != '.')
            add_children_of_thread(tree, pid, at->d_name);
    closedir(threads);
}

/* The top of a tree; who goes through it adds the children. */
static struct tree tree_of(pid_t pid)
{
    struct tree tree = {xmalloc(TREE_MAX * sizeof(pid_t)), 1};
    tree.pids[0] = pid;
    return tree;
}

bool usage_add_tree(struct usage *u, pid_t pid)
{
    struct tree tree = tree_of(pid);
    struct look look;
    uint64_t own = 0, shared = 0;
    bool found = false;
    for (size_t i = 0; i < tree.count; i++) {
        if (!look_at(u, tree.pids[i], &look))
            continue;
        found |= i == 0;
        own += look.pages - look.shared_pages;
        shared = MAX(shared, look.shared_pages);
        u->cpu_us += ticks_to_us(look.ended_ticks);
        add_children(&tree, tree.pids[i]);
    }
    u->memory += (own + shared) * (uint64_t)sysconf(_SC_PAGESIZE);
    xfree(tree.pids);
    return found;
}

/* False: it may not be read.  Who has ended meanwhile has no share. */
static bool add_share(pid_t pid, uint64_t *bytes)
{
    char path[64], text[2048];
    uint64_t kib = 0;
    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
    if (proc_file_read(path, text, sizeof(text)) < 0)
        return errno == ENOENT || errno == ESRCH;
    if (*text && !proc_file_number(text, "Pss:", &kib))
        return false;
    *bytes += kib * 1024;
    return true;
}

bool usage_tree_share(pid_t pid, uint64_t *bytes)
{
    struct tree tree = tree_of(pid);
    uint64_t sum = 0;
    bool readable = true;
    for (size_t i = 0; i < tree.count && readable; i++) {
        readable = add_share(tree.pids[i], &sum);
        add_children(&tree, tree.pids[i]);
    }
    xfree(tree.pids);
    if (readable && sum)
        *bytes = sum;
    return readable && sum;
}
