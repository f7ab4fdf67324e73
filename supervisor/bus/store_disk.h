/*
 * store_disk: the store's folder: whose it is, and how much room the disk has.
 */
#pragma once

#include "base/err.h"

enum { STORE_RESERVE = 16 << 20 };

struct disk_room {
    char *dir;
    int lock; /* descriptor */
    uint64_t min_free;
    uint64_t free; /* as last seen */
    bool full;
    bool gone; /* the folder was removed, or another one is in its place */
    int64_t checked_ms;
};

/*
 * Makes the folder and locks it: one process only.  A file of 16 MiB is kept in reserve, so
 * that a full disk does not stop what frees room.  min_free 0: room is not looked at.
 */
int disk_room_open(struct disk_room *, const char *dir, uint64_t min_free,
                   struct err *) MUST_CHECK;
void disk_room_close(struct disk_room *);

/* Looks, at most once a second.  True when `full` or `gone` is another than before. */
bool disk_room_check(struct disk_room *, int64_t now_ms);

/* A write found no room: the reserve is given up.  False when it was gone already. */
bool disk_room_exhausted(struct disk_room *);

/* Makes names in a folder durable.  0 or a negative errno. */
int disk_sync_dir(const char *path) MUST_CHECK;
