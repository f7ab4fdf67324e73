/*
 * timer: deadlines, thousands of them, on one uv_timer_t per loop.
 *
 * A timer lives in its owner's memory.  Starting one that runs moves it; moving it
 * to a later moment costs nothing until the earlier one comes, so "push the idle
 * timeout on" may be called for every read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct timer {
    uint64_t due_ms; /* when it fires, by the loop's clock */
    uint64_t key_ms; /* where it stands in the heap: never later than due_ms */
    size_t at;       /* place in the heap + 1; 0 = not running */
    void (*fire)(struct timer *);
};

/* A zeroed timer is a stopped timer. */
void timer_start(struct loop *, struct timer *, uint64_t delay_ms,
                 void (*fire)(struct timer *));

/* Also for one that does not run. */
void timer_stop(struct loop *, struct timer *);

static inline bool timer_runs(const struct timer *t)
{
    return t->at != 0;
}
