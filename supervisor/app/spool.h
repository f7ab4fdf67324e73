/*
 * spool: the body of a request, kept until all of it is there: the end in memory, and what is
 * in front of that in a file without a name.
 *
 * A worker that does one thing at a time is not given a request whose body is still on its
 * way: a slow client would hold it.
 */
#pragma once

#include "loop/disk.h"

enum { SPOOL_MEMORY = 128 * 1024 }; /* bytes of a body that are kept in memory */

struct spool {
    struct loop *loop;
    const char *folder;
    struct buf memory; /* what is not in the file */
    struct buf piece;  /* what spool_read() gave last, when it was in the file */
    struct disk disk;
    bool on_disk;
    bool ended;
    int trouble;                  /* a libuv code: it cannot be kept */
    void (*changed)(void *owner); /* more may be added; or it is whole; or there is trouble */
    void *owner;
};

/* folder: where the file is made, if there must be one; outlives the spool. */
struct spool *spool_new(struct loop *, const char *folder, void (*changed)(void *),
                        void *owner);
void spool_free(struct spool *); /* takes NULL */

/* May more be added now?  If not, `changed` tells when. */
bool spool_wants(const struct spool *);
void spool_add(struct spool *, struct slice);

/* Nothing more is added. */
void spool_end(struct spool *);

/* All is here, and nothing is being written. */
bool spool_whole(const struct spool *);

/* Bytes that were added. */
uint64_t spool_size(const struct spool *);

/*
 * Up to `max` bytes from `at` on, borrowed until the next call; empty at the end, or with
 * `trouble` when the file cannot be read.
 */
struct slice spool_read(struct spool *, uint64_t at, size_t max);
