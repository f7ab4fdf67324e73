/*
 * loop: everything that one thread owns.
 *
 * A turn of the loop goes: timers fire, libuv polls and calls back, then, before
 * it may sleep, the deferred tasks run and every stream that was written to is
 * flushed once.  Writes of one turn therefore leave in one system call per stream.
 */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "base/slice.h"
#include "loop/timer.h"

enum { LOOP_SCRATCH = 65536 };

/* Something to do at the end of this turn: once, however often it is asked for. */
struct task {
    struct list node;
    void (*run)(struct task *);
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_sleep;
    uv_idle_t spin;      /* runs while the loop must poll without sleeping */
    uv_timer_t clock;    /* the next deadline */
    struct timer **heap; /* binary heap by key_ms */
    size_t heap_len;
    size_t heap_cap;
    struct list tasks;       /* struct task.node */
    struct list next;        /* struct task.node: for the end of the next turn */
    struct list dirty;       /* struct stream.dirty: has bytes to flush */
    struct list procs;       /* struct proc.node: children not yet reaped */
    struct orphans *orphans; /* see orphans.h; NULL = none are adopted */
    uint64_t spin_us;        /* 0 = never spin */
    uint64_t spin_until;     /* ns, uv_hrtime() */
    bool running;
    char scratch[LOOP_SCRATCH]; /* what streams read into */
};

/* Returns 0 or a libuv code. */
int loop_init(struct loop *) MUST_CHECK;

/* Returns 0, or UV_EBUSY when a handle was leaked. */
int loop_deinit(struct loop *);

/* Runs until loop_stop() or until nothing is left to wait for. */
void loop_run(struct loop *);
void loop_stop(struct loop *);

/* A libuv code as words. */
const char *loop_strerror(int code);

/* Milliseconds, monotonic, cached at the start of the turn. */
uint64_t loop_now(const struct loop *);

/* Nanoseconds, monotonic, read now. */
uint64_t loop_clock_ns(void);

void task_init(struct task *, void (*run)(struct task *));
void task_cancel(struct task *);
void loop_defer(struct loop *, struct task *);

/*
 * Once more in the next turn, which comes without sleeping: for work that is cut into
 * pieces so that others get their turn.
 */
void loop_defer_next(struct loop *, struct task *);

/*
 * Polls without sleeping for up to `us` microseconds after the last call of
 * loop_spin(): trades a processor for the wake-up's latency.  0 turns it off.
 */
void loop_set_spin(struct loop *, uint64_t us);
void loop_spin(struct loop *);
