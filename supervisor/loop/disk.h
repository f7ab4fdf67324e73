/*
 * disk: a file without a name, which ends with its descriptor; written behind the loop's back.
 *
 * A write may wait for the disk, and the loop must not; so it is done by a thread of libuv's.
 * Reads are done at once: what has just been written is still in memory as a rule.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

struct disk_write;

struct disk {
    struct loop *loop;
    struct disk_write *write; /* the one that is under way */
    int fd;
    uint64_t size; /* bytes that were given to disk_append() */
    void (*wrote)(struct disk *, int status);
};

/*
 * A new file in this folder.  `wrote` is called after each disk_append(), from the loop, with 0
 * or a libuv code.  0 or a libuv code; then nothing is to be closed.
 */
int disk_open(struct disk *, struct loop *, const char *folder,
              void (*wrote)(struct disk *, int status)) MUST_CHECK;

/* Takes the buffer's bytes, which is empty afterwards.  One at a time: see disk_busy(). */
void disk_append(struct disk *, struct buf *);

static inline bool disk_busy(const struct disk *d)
{
    return d->write != NULL;
}

/* Adds up to `max` bytes from `at` on.  The number, or a libuv code. */
int64_t disk_read(const struct disk *, uint64_t at, size_t max, struct buf *out);

/* At once; a write that is under way ends by itself, and nobody is told. */
void disk_close(struct disk *);
