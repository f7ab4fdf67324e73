/*
 * bench_stage: what every benchmark runs on: a loop, Ctrl-C, and one line of progress.
 */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "loop/sig.h"

struct bench_stage {
    struct loop loop;
    struct sig signals[3];
    int signum; /* which one: 0 while there was none */
    bool stop;  /* Ctrl-C, SIGTERM or SIGHUP came: the loop was stopped, and all is to end */
    bool shows; /* progress: stderr is a terminal */
};

/* From here on a signal does not end the program but sets `stop`. */
int bench_stage_open(struct bench_stage *, struct err *) MUST_CHECK;
void bench_stage_close(struct bench_stage *);

/* Replaces the line of progress; NULL removes it. */
void bench_stage_show(struct bench_stage *, const char *fmt, ...) PRINTF_LIKE(2, 3);
