/*
 * bus_due: what waits for its time, any number of it, on one timer.
 *
 * A binary heap by the monotonic clock, so that a clock on the wall that is set moves nobody.
 */
#pragma once

#include "base/base.h"

/* Lives in what waits. */
struct due {
    uint64_t at_ms; /* by loop_clock_ns() */
    size_t place;   /* in the heap + 1; 0 = it does not wait */
};

struct due_heap {
    struct due **items;
    size_t count, cap;
};

void due_add(struct due_heap *, struct due *, uint64_t at_ms);

/* Also for one that does not wait. */
void due_remove(struct due_heap *, struct due *);

/* The first, when its time has come: it does not wait any more.  Else NULL. */
struct due *due_next(struct due_heap *, uint64_t now_ms);

/* When the first one is due; UINT64_MAX: none waits. */
uint64_t due_first(const struct due_heap *);

void due_deinit(struct due_heap *);
