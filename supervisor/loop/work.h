/*
 * work: something that waits for a disk or computes for long, done by a thread of libuv's
 * while the loop goes on.
 *
 * `run` must touch nothing that the loop uses meanwhile: what it works on is its own until
 * `done`.  The memory stays where it is until then, and the loop does not end before.
 */
#pragma once

#include "loop/loop.h"

struct work {
    uv_work_t req;
    struct loop *loop; /* NULL: none is under way */
    void (*run)(struct work *);
    void (*done)(struct work *);
};

/* `run` on a thread, then `done` on the loop.  One at a time for each struct. */
void work_start(struct work *, struct loop *, void (*run)(struct work *),
                void (*done)(struct work *));

static inline bool work_busy(const struct work *w)
{
    return w->loop != NULL;
}
