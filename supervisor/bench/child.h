/*
 * bench_child: a program that a benchmark needs while it runs.
 *
 * Its whole process group ends with it, and it ends with this process, however that ends.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "loop/proc.h"

struct bench_child_spec {
    const char *what; /* for sentences: "the Python backend" */
    const char *const *argv;
    const char *cwd;
    const char *ready;   /* it is up when it writes a line that holds this; see `said` */
    uint64_t timeout_ms; /* until then */
    const bool *stop;    /* when it has become true, after loop_stop(): gives up */
};

/* Zeroed = never started.  On the heap, or where it stays until it is stopped. */
struct bench_child {
    struct proc proc;
    struct loop *loop;
    const char *ready;
    struct timer limit;
    struct buf tail; /* the last of what it wrote */
    char said[256];  /* what stood behind `ready`, up to a blank */
    bool started;    /* and not stopped */
    bool exited;
    bool gone;
    bool late;
};

/*
 * Starts it and runs the loop until it is ready.  0, or a negative code with a sentence,
 * which ends with what it wrote last; then it has been stopped.  UV_ECANCELED: told to.
 */
int bench_child_start(struct bench_child *, struct loop *, const struct bench_child_spec *,
                      struct err *) MUST_CHECK;

/* Asks it to end (SIGTERM), makes it end after a while, and waits.  Also when not started. */
void bench_child_stop(struct bench_child *);

/* The path of this very program. */
void bench_child_self(char *path, size_t size);
