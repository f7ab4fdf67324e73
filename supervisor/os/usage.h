/*
 * usage: what processes use, by /proc.
 *
 * Plain reads of small files that the kernel makes up on the spot: they do not block.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"

/* Of one process, or of several added up. */
struct usage {
    uint64_t cpu_us; /* since it began */
    uint64_t memory; /* bytes of RSS; of a cgroup: what it is charged with */
    uint64_t threads;
    uint64_t processes;
    uint64_t read_bytes; /* from disks */
    uint64_t written_bytes;
};

/*
 * Adds what the process `pid` and all its descendants use now, and in CPU time what those used
 * that have ended.  Memory that they share (files, code) counts once: as much as the one of
 * them has that has most of it.  False when there is no such process; a descendant that ends
 * meanwhile is left out, and so is one that has left for another parent.
 *
 * What processes took over from their parent when they were forked, and have not written to
 * since, counts for each of them: only usage_tree_share() knows.
 */
bool usage_add_tree(struct usage *, pid_t pid);

/*
 * The memory of the same processes where each page counts once: among n processes that have
 * it, an n-th for each.  Never more than what usage_add_tree() says.  The kernel goes through
 * all their pages for it, some milliseconds for a gigabyte, so it is for when that number
 * matters.  False, and nothing is written: there is no such process, or one of them may not be
 * looked into.
 */
bool usage_tree_share(pid_t pid, uint64_t *bytes);

/* Of one process alone. */
bool usage_add(struct usage *, pid_t pid);

/* Of the machine, or of the cgroup that nodey is confined to: what its processes can have. */
struct machine {
    uint64_t memory;           /* bytes */
    uint64_t memory_available; /* bytes that can be had without swapping */
    uint64_t cpus;             /* thousandths that nodey may use */
};

/* What cannot be found out is 0; `cpus` is at least one. */
void machine_read(struct machine *);
