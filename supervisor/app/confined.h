/*
 * confined: the means by which limits are kept, and the word about them at the start.
 *
 * See pool/limits.h.  cgroups are only prepared when a program has limits: for them nodey
 * moves itself, which nobody should see who asked for nothing.
 */
#pragma once

#include "os/cgroup.h"
#include "pool/pool.h"

struct confined {
    struct cgroups cgroups;
    char *told;  /* the last word; NULL: none */
    bool silent; /* a run for one command has other things to say */
};

/* Before the first child.  `is_private`: a run for one command, without cgroups. */
void confined_open(struct confined *, const struct config *, bool is_private);

/* Logs which limits are in force and how, unless that is what was said last. */
void confined_tell(struct confined *, const struct pools *);

/* After the last child. */
void confined_close(struct confined *);
