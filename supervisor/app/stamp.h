/*
 * stamp: has a file changed?  By what stat() says of it: its number, size and times.
 */
#pragma once

#include "base/base.h"

enum { STAMP_MAX_FILES = 4096, STAMP_MAX_DEPTH = 8 };

/* 0 = it does not exist (or cannot be looked at); never 0 otherwise.  mtime may be NULL. */
uint64_t stamp_of(const char *path, uint64_t *mtime_ns);

/* What else a walk leaves out. */
struct stamp_filter {
    /* This file or folder, and what is in it. */
    bool (*leaves_out)(void *arg, const char *path, const char *name, bool is_folder);
    void *arg;
};

/*
 * Calls for every file below a folder, and for the folders themselves, the first
 * included, down to STAMP_MAX_DEPTH and for STAMP_MAX_FILES.  Left out is what programs
 * are not made of: names that begin with ".", caches, virtual environments, node_modules,
 * build output (see stamp_ignores()), and what the filter says, which may be NULL.  False when
 * there were more files.
 */
bool stamp_walk(const char *folder, const struct stamp_filter *,
                void (*visit)(void *arg, const char *path, bool is_folder), void *arg);

/* A name, without path, that no program is made of. */
bool stamp_ignores(const char *name);
