/*
 * sig: a signal to this process, as a callback of the loop.
 */
#pragma once

#include <uv.h>

struct loop;

struct sig {
    uv_signal_t handle;
    void (*fire)(struct sig *, int signum);
};

/* Does not keep the loop alive.  0 or a libuv code; the memory must outlive the loop. */
int sig_start(struct sig *, struct loop *, int signum, void (*fire)(struct sig *, int));
void sig_stop(struct sig *);
