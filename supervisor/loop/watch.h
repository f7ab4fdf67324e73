/*
 * watch: has anything changed in these folders?
 *
 * Folders are watched, not files, because editors replace a file by renaming another
 * over it.  Changes are reported together once nothing has changed for WATCH_QUIET_MS,
 * or WATCH_LATEST_MS after the first.  What changed is for the owner to find out: it
 * looks at the files it knows, which is also right when the kernel's queue overflows.
 */
#pragma once

#include "loop/life.h"
#include "loop/timer.h"

enum { WATCH_QUIET_MS = 300, WATCH_LATEST_MS = 2000, WATCH_MAX_FOLDERS = 8192 };

struct loop;
struct watch;

struct watch_ops {
    /* Something in a folder changed, a while ago. */
    void (*changed)(struct watch *);

    /* Does a change of this name (no path) matter?  Else it is as if it had not been. */
    bool (*matters)(struct watch *, const char *name);
};

struct watch {
    struct loop *loop;
    const struct watch_ops *ops;
    struct watched **folders; /* sorted by path */
    size_t count;
    struct timer quiet;
    uint64_t first_ms; /* of the changes that were not reported yet; 0 = none */
    unsigned refused;  /* folders that could not be watched, since watch_set() */
};

void watch_init(struct watch *, struct loop *, const struct watch_ops *);

/*
 * From now on these folders (absolute; any order, may repeat), and no others.  Those that
 * do not exist are left out; `refused` counts those that the kernel or the limit refused.
 */
void watch_set(struct watch *, const char *const *folders, size_t count);

void watch_deinit(struct watch *);
