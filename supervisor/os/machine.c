/* The machine: the part of usage.h that is about all of it. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/proc_file.h"
#include "os/usage.h"

enum { KIB = 1024, THOUSANDTHS = 1000 };

/* Where the two versions of cgroups keep what bounds us. */
struct bounds {
    const char *controller; /* as in /proc/self/cgroup; "" is version 2 */
    const char *mount;
    const char *memory_max;
    const char *memory_now;
    const char *inactive; /* in memory.stat: what is kept only because nobody needs the room */
};

static const struct bounds kinds[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
    {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file"},
};

/* The folder of ours as /proc/self/cgroup names it: "9:cpu,memory:/a/b".  False: none. */
static bool own_path(const char *controller, char *path, size_t size)
{
    char text[PROC_FILE_MAX], *rest;
    if (proc_file_read("/proc/self/cgroup", text, sizeof(text)) <= 0)
        return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
        if (!where)
            continue;
        *where++ = '\0';
        bool same = strcmp(names + 1, controller) == 0;
        if (*controller) { /* one of several, between commas */
            const char *at = strstr(names + 1, controller);
            size_t len = strlen(controller);
            same =
                at && (at[len] == '\0' || at[len] == ',') && (at[-1] == ':' || at[-1] == ',');
        }
        if (same)
            return snprintf(path, size, "%s", where) < (int)size;
    }
    return false;
}

static bool read_number(const char *folder, const char *name, uint64_t *out)
{
    char path[PATH_MAX + 32], text[64], *end;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return false;
    uint64_t n = strtoull(text, &end, 10);
    if (end == text) /* "max" */
        return false;
    *out = n;
    return true;
}

static void bound_memory(struct machine *m, const struct bounds *b, const char *folder)
{
    char path[PATH_MAX + 32], text[PROC_FILE_MAX];
    uint64_t most, now = 0, inactive = 0;
    if (!read_number(folder, b->memory_max, &most) || (m->memory && most >= m->memory))
        return;
    IGNORE(!read_number(folder, b->memory_now, &now)); /* then all of it counts as free */
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    if (proc_file_read(path, text, sizeof(text)) > 0)
        proc_file_number(text, b->inactive, &inactive);
    now -= MIN(inactive, now);
    m->memory = most;
    m->memory_available = MIN(m->memory_available, most - MIN(now, most));
}

/* "50000 100000" or "max 100000": microseconds of each period. */
static void bound_cpus(struct machine *m, const char *folder)
{
    char path[PATH_MAX + 32], text[64], *end;
    snprintf(path, sizeof(path), "%s/cpu.max", folder);
    if (proc_file_read(path, text, sizeof(text)) <= 0)
        return;
    uint64_t quota = strtoull(text, &end, 10), period = strtoull(end, NULL, 10);
    if (end != text && period)
        m->cpus = MIN(m->cpus, MAX(quota * THOUSANDTHS / period, (uint64_t)1));
}

/* What bounds us may stand in any folder above; in a container ours may be the topmost. */
static void bound(struct machine *m, const struct bounds *b)
{
    char path[PATH_MAX / 2], folder[PATH_MAX];
    if (!own_path(b->controller, path, sizeof(path)))
        return;
    snprintf(folder, sizeof(folder), "%s%s", b->mount, path);
    if (access(folder, F_OK) < 0)
        snprintf(folder, sizeof(folder), "%s", b->mount);
    for (char *slash; strlen(folder) >= strlen(b->mount); *slash = '\0') {
        bound_memory(m, b, folder);
        if (!*b->controller)
            bound_cpus(m, folder);
        slash = strrchr(folder, '/');
        if (!slash)
            return;
    }
}

void machine_read(struct machine *out)
{
    struct machine m = {0};
    char text[PROC_FILE_MAX];
    cpu_set_t cpus;
    m.cpus = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint64_t)CPU_COUNT(&cpus) : 1;
    m.cpus *= THOUSANDTHS;
    if (proc_file_read("/proc/meminfo", text, sizeof(text)) > 0) {
        if (proc_file_number(text, "MemTotal:", &m.memory))
            m.memory *= KIB;
        if (proc_file_number(text, "MemAvailable:", &m.memory_available))
            m.memory_available *= KIB;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        bound(&m, &kinds[i]);
    *out = m;
}
