/*
 * confine: who a child runs as, and what it may use.
 *
 * Arranged by the shim in the child itself before it becomes the command, in this order:
 * cgroup, limits, priority, groups and user, no-new-privileges.  What cannot be arranged
 * ends the start with a sentence: never silently less than was asked for.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"

struct confine {
    bool plain;    /* no descriptor 3, and failures in words on stderr: no protocol */
    bool has_user; /* run as uid, gid and the groups of `user` */
    uid_t uid;
    gid_t gid;
    const char *user; /* whose supplementary groups; NULL: none but gid */
    bool no_new_privileges;
    const char *cgroup; /* a folder of cgroup v2 that it joins; NULL: stays in nodey's */
    uint64_t nofile;    /* RLIMIT_NOFILE; 0 = unchanged, as all of these */
    uint64_t nproc;     /* RLIMIT_NPROC: of all processes of its user */
    uint64_t data;      /* RLIMIT_DATA, bytes */
    uint64_t core;      /* RLIMIT_CORE, bytes: exactly this, also 0 */
    int nice;           /* added to nodey's own */
    int oom_score_adj;  /* 0 = unchanged; workers die before nodey does */
};
