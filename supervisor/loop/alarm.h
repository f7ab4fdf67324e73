/*
 * alarm: one moment, to the microsecond.
 *
 * A struct timer counts in milliseconds, as deadlines do; what must happen at a rate of
 * thousands per second needs finer ones.  It costs a descriptor.
 */
#pragma once

#include "loop/life.h"
#include "loop/loop.h"

struct alarm {
    struct life life;
    uv_poll_t handle;
    int fd;
    void (*fire)(struct alarm *);
    void (*gone)(struct alarm *);
};

/* 0 or a libuv code; then nothing is called, `gone` neither. */
int alarm_open(struct alarm *, struct loop *, void (*fire)(struct alarm *),
               void (*gone)(struct alarm *)) MUST_CHECK;

/* Fires once, when loop_clock_ns() has come to at_ns; instead of what was set before. */
void alarm_set(struct alarm *, uint64_t at_ns);

/* Never fires again; `gone` follows. */
void alarm_close(struct alarm *);
