#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/proc_file.h"

enum {
    CPU_PERIOD_US = 100000, /* the kernel's own default */
    THOUSANDTHS = 1000,
    KILL_ROUNDS = 20, /* without cgroup.kill: what forks meanwhile is found in the next */
    EMPTY_ROUNDS = 100,
    EMPTY_PAUSE_NS = 10 * 1000 * 1000,
};

static const struct {
    const char *name;
    unsigned flag;
} known[] = {
    {"memory", CGROUP_MEMORY},
    {"cpu", CGROUP_CPU},
    {"pids", CGROUP_PIDS},
    {"io", CGROUP_IO},
};

/* ------------------------------------------------------------------- little files */

static char *join(const char *folder, const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static int set(const char *folder, const char *name, const char *text)
{
    char *path = join(folder, name);
    int rc = proc_file_write(path, text);
    xfree(path);
    return rc;
}

static bool get(const char *folder, const char *name, char *text, size_t size)
{
    char *path = join(folder, name);
    bool done = proc_file_read(path, text, size) >= 0;
    xfree(path);
    return done;
}

static bool get_number(const char *folder, const char *name, uint64_t *out)
{
    char text[64], *end;
    if (!get(folder, name, text, sizeof(text)))
        return false;
    uint64_t n = strtoull(text, &end, 10);
    if (end == text)
        return false;
    *out = n;
    return true;
}

static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += len)
        if ((at == text || at[-1] == ' ') && (!at[len] || strchr(" \n", at[len])))
            return true;
    return false;
}

static unsigned controllers_in(const char *folder, const char *file)
{
    char text[512];
    unsigned found = 0;
    if (get(folder, file, text, sizeof(text)))
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (has_word(text, known[i].name))
                found |= known[i].flag;
    return found;
}

/* --------------------------------------------------------------------- our part */

static void explain(struct cgroups *g, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void explain(struct cgroups *g, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(g->why_not, sizeof(g->why_not), fmt, args);
    va_end(args);
}

/* Of "30 23 0:28 ROOT POINT options - cgroup2 ...": what of it is mounted, and where. */
static bool find_mount(char *point, char *root, size_t size)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char line[4096], format[64];
    bool found = false;
    snprintf(format, sizeof(format), "%%*s %%*s %%*s %%%zus %%%zus", size - 1, size - 1);
    while (mounts && !found && fgets(line, sizeof(line), mounts))
        found = strstr(line, " - cgroup2 ") && sscanf(line, format, root, point) == 2;
    if (mounts)
        fclose(mounts);
    return found;
}

/* The folder that this process is in, as it is seen here; NULL when it is not. */
static char *own_folder(const char *point, const char *root)
{
    char text[PROC_FILE_MAX];
    if (proc_file_read("/proc/self/cgroup", text, sizeof(text)) <= 0)
        return NULL;
    const char *at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!at)
        return NULL;
    at = strchr(at, '/');
    char *path = xstrndup(at, strcspn(at, "\n"));
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool is_inside = strncmp(path, root, len) == 0 && strncmp(path, "/..", 3) != 0;
    char *folder = is_inside ? xasprintf("%s%s", point, path + len) : NULL;
    xfree(path);
    size_t end = folder ? strlen(folder) : 0;
    if (end && folder[end - 1] == '/')
        folder[end - 1] = '\0';
    return folder;
}

/* Only the topmost group of all has no type. */
static bool is_topmost(const char *folder)
{
    char *path = join(folder, "cgroup.type");
    bool is_there = access(path, F_OK) == 0;
    xfree(path);
    return !is_there;
}

/* Asks for each alone: one that is not to be had must not cost the others. */
static unsigned enable(const char *folder, int *why)
{
    unsigned there = controllers_in(folder, "cgroup.controllers");
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        char word[16];
        snprintf(word, sizeof(word), "+%s", known[i].name);
        int rc = there & known[i].flag ? set(folder, "cgroup.subtree_control", word) : 0;
        *why = rc ? rc : *why;
    }
    return controllers_in(folder, "cgroup.subtree_control");
}

static void disable(const char *folder)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        char word[16];
        snprintf(word, sizeof(word), "-%s", known[i].name);
        IGNORE(set(folder, "cgroup.subtree_control", word)); /* then it stays on */
    }
}

static unsigned kill_each(const char *folder)
{
    char *path = join(folder, "cgroup.procs");
    FILE *procs = fopen(path, "re");
    unsigned found = 0;
    long pid;
    while (procs && fscanf(procs, "%ld", &pid) == 1)
        if (pid > 0 && pid != getpid() && kill((pid_t)pid, SIGKILL) == 0)
            found++;
    if (procs)
        fclose(procs);
    xfree(path);
    return found;
}

void cgroup_kill(const char *folder)
{
    if (set(folder, "cgroup.kill", "1") == 0)
        return;
    for (int i = 0; i < KILL_ROUNDS && kill_each(folder); i++) /* before Linux 5.14 */
        continue;
}

/* What was killed needs a moment to go, and until then its group cannot be removed. */
static void wait_empty(const char *folder)
{
    char text[256];
    uint64_t populated;
    for (int i = 0; i < EMPTY_ROUNDS; i++) {
        if (!get(folder, "cgroup.events", text, sizeof(text)) ||
            !proc_file_number(text, "populated", &populated) || !populated)
            return;
        nanosleep(&(struct timespec){.tv_nsec = EMPTY_PAUSE_NS}, NULL);
    }
}

/* Goes on to the next as long as `act` is false. */
static bool each_group(const char *folder, bool (*act)(const char *))
{
    bool found = false;
    DIR *dir = opendir(folder);
    for (struct dirent *at; dir && !found && (at = readdir(dir));) {
        if (at->d_type != DT_DIR || at->d_name[0] == '.')
            continue;
        char *path = join(folder, at->d_name);
        found = act(path);
        xfree(path);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool end_group(const char *folder)
{
    cgroup_kill(folder);
    return false;
}

static bool remove_group(const char *folder)
{
    IGNORE(rmdir(folder)); /* somebody is still in it: the next nodey tries again */
    return false;
}

/* A run is over: who is left in its groups has escaped from somebody, and ends, too. */
static void remove_run(const char *folder)
{
    each_group(folder, end_group);
    wait_empty(folder);
    each_group(folder, remove_group);
    remove_group(folder);
}

/* Who is in another PID namespace is a zero to us, and the nodey of it unknown. */
static bool holds_unseen(const char *folder)
{
    char text[PROC_FILE_MAX];
    return get(folder, "cgroup.procs", text, sizeof(text)) &&
           (strncmp(text, "0\n", 2) == 0 || strstr(text, "\n0\n"));
}

/* What a nodey that was killed has left: "nodey-123", where there is no process 123. */
static bool remove_stale(const char *folder)
{
    const char *name = strrchr(folder, '/') + 1;
    long pid = strncmp(name, "nodey-", 6) == 0 ? atol(name + 6) : 0;
    bool is_over = pid == getpid() || (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH);
    if (is_over && !each_group(folder, holds_unseen))
        remove_run(folder);
    return false;
}

static const char leaf_name[] = "nodey";

/* A group that hands controllers down may hold no process: this one goes into a leaf. */
static int enter_leaf(const char *base)
{
    char *leaf = join(base, leaf_name);
    int rc = mkdir(leaf, 0755) && errno != EEXIST ? -errno : set(leaf, "cgroup.procs", "0");
    xfree(leaf);
    return rc;
}

/* With whoever it has started there, and who may live a little longer. */
static void leave_leaf(const char *base)
{
    char *leaf = join(base, leaf_name), text[PROC_FILE_MAX], *rest;
    IGNORE(set(base, "cgroup.procs", "0")); /* then it stays where it is */
    if (get(leaf, "cgroup.procs", text, sizeof(text)))
        for (char *pid = strtok_r(text, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest))
            IGNORE(set(base, "cgroup.procs", pid)); /* it has just ended */
    IGNORE(rmdir(leaf));
    xfree(leaf);
}

static char *make_root(const char *base, int *why)
{
    char *root = xasprintf("%s/nodey-%ld", base, (long)getpid());
    if (mkdir(root, 0755) == 0 || errno == EEXIST)
        return root;
    *why = -errno;
    xfree(root);
    return NULL;
}

/* Makes `base` hand down what it can; true when that is anything. */
static bool prepare(struct cgroups *g, const char *base)
{
    int why = 0;
    bool moves = !is_topmost(base);
    if (!controllers_in(base, "cgroup.controllers")) {
        explain(g, "cgroup v2 has no controllers here: the machine uses version 1");
        return false;
    }
    if (moves)
        why = enter_leaf(base);
    unsigned passed = why ? 0 : enable(base, &why);
    each_group(base, remove_stale);
    char *root = passed ? make_root(base, &why) : NULL;
    if (root)
        g->controllers = enable(root, &why);
    if (root && (g->controllers & CGROUP_MEMORY)) /* what is above bounds what is within */
        IGNORE(set(root, "memory.low", "max"));
    if (g->controllers) {
        g->root = root;
        g->base = moves ? xstrdup(base) : NULL;
        return true;
    }
    if (root)
        remove_run(root);
    xfree(root);
    if (moves)
        leave_leaf(base);
    explain(g,
            why == -EBUSY ? "other processes share nodey's cgroup %s: %s"
                          : "the cgroup %s cannot be used: %s",
            base, strerror(why ? -why : ENOTSUP));
    return false;
}

void cgroups_open(struct cgroups *g)
{
    enum { PATH_BYTES = 1024 };

    char point[PATH_BYTES], root[PATH_BYTES];
    *g = (struct cgroups){0};
    if (!find_mount(point, root, sizeof(point))) {
        explain(g, "cgroup v2 is not mounted");
        return;
    }
    char *own = own_folder(point, root);
    bool works = own && prepare(g, own);
    /* As root the top of the tree is open as well: where docker puts its groups, too. */
    if (!works && geteuid() == 0 && !(own && strcmp(own, point) == 0) && is_topmost(point))
        works = prepare(g, point);
    if (works)
        g->why_not[0] = '\0';
    else if (!own)
        explain(g, "nodey's own cgroup cannot be seen from here");
    xfree(own);
}

void cgroups_close(struct cgroups *g)
{
    if (g->root)
        remove_run(g->root);
    if (g->base) {
        disable(g->base);
        leave_leaf(g->base);
    }
    for (size_t i = 0; i < g->left_count; i++)
        xfree(g->left[i]);
    xfree(g->left);
    xfree(g->root);
    xfree(g->base);
    *g = (struct cgroups){0};
}

/* ---------------------------------------------------------------------- a group */

static int set_number(const char *folder, const char *name, uint64_t n)
{
    char text[32] = "max";
    if (n)
        snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    return set(folder, name, text);
}

static int limit_memory(const char *folder, const struct cgroup_limits *l)
{
    char low[32];
    int rc = set_number(folder, "memory.max", l->memory);
    /* What is swapped out would be beyond the limit all the same; and one goes with all. */
    if (l->memory) {
        IGNORE(set(folder, "memory.swap.max", "0"));  /* without swap there is no such file */
        IGNORE(set(folder, "memory.oom.group", "1")); /* else the rest ends with its parent */
    }
    snprintf(low, sizeof(low), "%llu", (unsigned long long)l->memory_reservation);
    int rc_low = set(folder, "memory.low", low);
    return rc ? rc : l->memory_reservation ? rc_low : 0;
}

static int limit_cpus(const char *folder, const struct cgroup_limits *l)
{
    char text[64];
    if (l->cpus)
        snprintf(text, sizeof(text), "%llu %d",
                 (unsigned long long)MAX(l->cpus * CPU_PERIOD_US / THOUSANDTHS, 1000ULL),
                 CPU_PERIOD_US);
    else
        snprintf(text, sizeof(text), "max %d", CPU_PERIOD_US);
    return set(folder, "cpu.max", text);
}

static int limit(const struct cgroups *g, const char *folder, const struct cgroup_limits *l)
{
    int rc = 0;
    if (g->controllers & CGROUP_MEMORY)
        rc = limit_memory(folder, l);
    if (rc == 0 && (g->controllers & CGROUP_CPU))
        rc = limit_cpus(folder, l);
    if (rc == 0 && (g->controllers & CGROUP_PIDS))
        rc = set_number(folder, "pids.max", l->pids);
    return rc;
}

char *cgroup_make(const struct cgroups *g, const char *name, const struct cgroup_limits *limits,
                  struct err *err)
{
    char *folder = join(g->root, name);
    bool is_new = mkdir(folder, 0755) == 0;
    int rc = !is_new && errno != EEXIST ? -errno : limit(g, folder, limits);
    if (rc == 0)
        return folder;
    err_set(err, rc, "the cgroup %s cannot be made: %s", folder, strerror(-rc));
    if (is_new)
        IGNORE(rmdir(folder)); /* it is empty */
    xfree(folder);
    return NULL;
}

/* Those that are still not empty stay in the list. */
static void remove_left(struct cgroups *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->left_count; i++) {
        if (rmdir(g->left[i]) && errno == EBUSY)
            g->left[kept++] = g->left[i];
        else
            xfree(g->left[i]);
    }
    g->left_count = kept;
}

void cgroup_remove(struct cgroups *g, char *folder)
{
    g->left = xrealloc(g->left, (g->left_count + 1) * sizeof(*g->left));
    g->left[g->left_count++] = folder;
    remove_left(g);
}

/* "8:0 rbytes=1 wbytes=2 ...", a line for each disk. */
static void add_io(const char *folder, struct usage *u)
{
    char text[PROC_FILE_MAX];
    if (!get(folder, "io.stat", text, sizeof(text)))
        return;
    for (const char *at = text; (at = strstr(at, "bytes=")); at++) {
        uint64_t *sum = at[-1] == 'r'   ? &u->read_bytes
                        : at[-1] == 'w' ? &u->written_bytes
                                        : NULL;
        if (sum)
            *sum += strtoull(at + strlen("bytes="), NULL, 10);
    }
}

static uint64_t lines_of(const char *folder, const char *name)
{
    char text[PROC_FILE_MAX];
    uint64_t lines = 0;
    if (get(folder, name, text, sizeof(text)))
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            lines++;
    return lines;
}

bool cgroup_usage(const char *folder, struct usage *u)
{
    char text[PROC_FILE_MAX];
    uint64_t memory = 0, inactive = 0, cpu = 0;
    if (!get(folder, "cpu.stat", text, sizeof(text)))
        return false;
    proc_file_number(text, "usage_usec", &cpu);
    if (get_number(folder, "memory.current", &memory) &&
        get(folder, "memory.stat", text, sizeof(text)))
        proc_file_number(text, "inactive_file", &inactive);
    u->cpu_us += cpu;
    u->memory += memory - MIN(inactive, memory);
    u->processes += lines_of(folder, "cgroup.procs");
    u->threads += lines_of(folder, "cgroup.threads");
    add_io(folder, u);
    return true;
}

uint64_t cgroup_oom_kills(const char *folder)
{
    char text[1024];
    uint64_t kills = 0, own = 0;
    if (get(folder, "memory.events", text, sizeof(text))) {
        proc_file_number(text, "oom_kill", &kills);
        proc_file_number(text, "oom",
                         &own); /* without it another limit, or all memory, was out */
    }
    return own ? kills : 0;
}
