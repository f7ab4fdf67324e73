/*
 * startgate: not all at once.
 *
 * Of all pools together only so many processes start at a time, twice as many as there are
 * processors, because more of them would only make each other slow.  One counts until it is
 * ready or has ended, and not for longer than STARTGATE_PATIENCE_MS.  Those that others wait
 * for go first, then what must come back or was asked for, then the first instance of each
 * program, and then the others; but nobody waits for ever.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"

enum {
    STARTGATE_LEAST = 4, /* at a time, on the smallest machine */
    STARTGATE_PATIENCE_MS = 5000,
    STARTGATE_FAIR = 4, /* every so many goes who has waited longest, whatever its rank */
};

enum startgate_rank { RANK_NEEDED, RANK_AGAIN, RANK_FIRST, RANK_MORE, STARTGATE_RANKS };

struct pools;
struct worker;

struct startgate {
    struct list waiting[STARTGATE_RANKS]; /* struct worker.gate */
    unsigned limit;                       /* 0 = not known yet */
    unsigned open;                        /* workers that start now */
    unsigned passed;
    uint64_t tickets;
    struct task next;
};

void startgate_init(struct startgate *);
void startgate_deinit(struct startgate *);

/* It would start now: worker_start() follows, at once or when it is its turn. */
void startgate_enter(struct worker *);

/* It does not start any more: it is ready, has ended, or never begins. */
void startgate_leave(struct worker *);

/* It waits for its turn. */
bool startgate_waits(const struct worker *);
