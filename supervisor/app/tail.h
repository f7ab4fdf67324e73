/*
 * tail: the last words of each worker, and why it did not start, for error pages.
 *
 * Kept by the worker's name, so that they outlive processes and reloads.  What a process
 * says before it is ready becomes the reason when it ends that way, and stays so until
 * one is ready: the next process, which may be silent as yet, does not wipe it out.
 */
#pragma once

#include "pool/pool.h"

enum { TAIL_LINES = 100, TAIL_BYTES = 16 << 10 };

struct tail {
    struct list node; /* in tails->list */
    char *name;
    struct buf lines; /* each with its LF; the newest TAIL_LINES, at most TAIL_BYTES */
    struct buf words; /* of the process `life`, which is not ready */
    bool explained;   /* `words` are an error that it sent, and nothing else is wanted */
    uint64_t life;
    struct buf reason;   /* why the last start failed; empty = it did not */
    unsigned generation; /* of the process that failed */
};

/* `struct tails` in zeroes keeps nothing. */
struct tails {
    bool keeps;
    struct list list;
    size_t count;
};

void tails_init(struct tails *);
void tails_deinit(struct tails *);

/*
 * A worker that cannot start, and is started again, gives the same reason: true when this
 * is what it said last time, and nobody needs to read it twice.  Ask before tails_wrote().
 */
bool tails_repeats(const struct tails *, const struct worker_line *);

/* A worker wrote this; nodey told that about it (w may be NULL); it is ready. */
void tails_wrote(struct tails *, const struct worker_line *);
void tails_told(struct tails *, const struct pool *, const struct worker *w, enum log_level,
                const char *sentence);
void tails_ready(struct tails *, const struct pool *);

/* NULL when nothing is known.  Valid until the next of the above. */
const struct tail *tails_find(const struct tails *, const char *name);
