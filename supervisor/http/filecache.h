/*
 * filecache: the contents of small files that are asked for again and again.
 *
 * What is kept is as good as the file: each time one is asked for, the file is looked at (one
 * stat(2), where opening, reading and closing it would be five calls), and what is not the very
 * same any more is forgotten.  A file that changed within the last moments is not kept, because
 * a second change in the same moment could not be seen.
 *
 * Bounded; who was not asked for the longest goes.
 */
#pragma once

#include <sys/stat.h>

#include "base/keymap.h"
#include "base/list.h"
#include "base/slice.h"

enum {
    FILECACHE_FILE_MAX = 64 * 1024,
    FILECACHE_BYTES_MAX = 16 << 20,
    FILECACHE_COUNT_MAX = 4096,
    FILECACHE_SETTLED_S = 2, /* a file this old is kept */
};

struct filecache {
    struct keymap map;
    struct list queue; /* the one that was asked for last comes first */
    size_t bytes;
};

void filecache_init(struct filecache *);
void filecache_deinit(struct filecache *);

/*
 * The contents of the file of that absolute path, if they are kept and it has not changed;
 * valid until the cache is changed.  *st is what the file is.
 */
bool filecache_find(struct filecache *, const char *path, struct stat *st,
                    struct slice *contents);

/* Keeps a copy, in the place of an older one.  st: of the file, from before it was read. */
void filecache_put(struct filecache *, const char *path, const struct stat *st,
                   struct slice contents, int64_t now_s);
