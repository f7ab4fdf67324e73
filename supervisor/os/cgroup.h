/*
 * cgroup: one group of cgroup v2 for each instance, where they can be had.
 *
 * nodey needs a part of the tree that it may write to (as root, or delegated by systemd).
 * It moves itself into a leaf there, `nodey`, because only leaves may hold processes; beside it
 * it makes a folder of this run, and in that a group for each instance.  Where that is not
 * possible callers fall back to watching and rlimits, and say so once.
 */
#pragma once

#include "base/err.h"
#include "os/usage.h"

/* What may be limited in our part of the tree. */
enum cgroup_controller {
    CGROUP_MEMORY = 1 << 0,
    CGROUP_CPU = 1 << 1,
    CGROUP_PIDS = 1 << 2,
    CGROUP_IO = 1 << 3,
};

struct cgroups {
    char *root;           /* absolute: the folder of this run; NULL: there are none */
    char *base;           /* what holds it and the leaf; NULL: nodey has not moved */
    unsigned controllers; /* of enum cgroup_controller, that work */
    char **left;          /* folders that could not be removed yet */
    size_t left_count;
    char why_not[256]; /* for a person, when something is missing; "" = nothing is */
};

/*
 * Finds out what can be had, and prepares it.  Never fails; see `controllers`.  Before the
 * first child, which would be left behind in a group that must be empty.  What a nodey that
 * was killed has left beside ours, groups and who had escaped into them, ends now.
 */
void cgroups_open(struct cgroups *);

/*
 * Ends who is left in the groups, removes them, and frees.  Waits up to a second for the kernel
 * to end them.
 */
void cgroups_close(struct cgroups *);

struct cgroup_limits {
    uint64_t memory;             /* memory.max, bytes; 0 = none, as all of these */
    uint64_t memory_reservation; /* memory.low, bytes; no more than what those above have */
    uint64_t cpus;               /* cpu.max, thousandths of a CPU */
    uint64_t pids;               /* pids.max */
};

/*
 * Makes the group `name` ("fib-0-17") with these limits, or changes those of one that is
 * there.  Its folder, which the caller frees; NULL with a sentence, and nothing is left.
 */
char *cgroup_make(const struct cgroups *, const char *name, const struct cgroup_limits *,
                  struct err *) MUST_CHECK;

/* Kills all that is in it (cgroup.kill), so that nothing escapes by a new session. */
void cgroup_kill(const char *folder);

/*
 * Removes the group and takes its folder; one that somebody is still in, because the kernel
 * has not done yet what cgroup_kill() began, is tried again with the next one.
 */
void cgroup_remove(struct cgroups *, char *folder);

/*
 * Adds what its processes use and have used; memory only where that controller works.  False
 * when it cannot be read.
 */
bool cgroup_usage(const char *folder, struct usage *);

/* How often the kernel killed in it because of its own memory.max: not that of one above. */
uint64_t cgroup_oom_kills(const char *folder);
