/*
 * proc: one child process with its three pipes.
 *
 * Every child is started through this program itself (see shim.h), which makes it
 * the leader of its own process group, ties its life to ours and then becomes the
 * command.  Two things end independently: the process, and what it wrote.  `exited`
 * is called once both are over; a grandchild that holds the pipe open delays it by
 * no more than a moment, and what outlives the child is killed.
 */
#pragma once

#include <sys/types.h>

#include "loop/confine.h"
#include "loop/stream.h"

struct proc;

struct proc_exit {
    int64_t code; /* exit status; meaningful when signal is 0 */
    int signal;   /* the signal that ended it, or 0 */
};

struct proc_ops {
    /* As stream_ops.data, for what the child wrote. */
    size_t (*out)(struct proc *, struct slice bytes);
    size_t (*err)(struct proc *, struct slice bytes);

    /* A pipe broke while the child lives: it closed its output, or reads no more. */
    void (*broken)(struct proc *, const char *which);

    /* The input pipe's queue has become empty.  Optional. */
    void (*drained)(struct proc *);

    /* It has ended and all that it wrote has been offered.  Once. */
    void (*exited)(struct proc *, const struct proc_exit *);

    /* No handle is left: the memory may be freed. */
    void (*gone)(struct proc *);
};

struct proc_spec {
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* "NAME=value", NULL-terminated: the whole environment */
    const char *cwd;
    uint64_t mark;     /* also in the environment, as NODEY_LIFE: whose descendant is this? */
    size_t line_limit; /* bytes of output kept for an unfinished line */
    bool no_input;     /* its input is /dev/null: nothing may be written to it */
    struct confine confine; /* zero: as nodey itself, but without core files */
};

struct proc {
    struct loop *loop;
    const struct proc_ops *ops;
    struct list node; /* in loop->procs while it is not reaped */
    uv_process_t process;
    struct stream in;
    struct stream out;
    struct stream err;
    struct life life;
    struct timer drain; /* after the exit: until what it wrote has been read */
    const char *broken; /* before it: the pipe that ended, which `drain` tells of */
    struct task finish;
    uint64_t drain_until;
    struct proc_exit exit;
    pid_t pid;
    uint64_t mark;
    bool no_input;
    bool reaped;
    bool out_ended;
    bool err_ended;
    bool finished;
    bool closed;
};

/*
 * Starts the command.  0, or a libuv code; then nothing runs, no callback but
 * `gone` follows, and proc_close() has been called already.  A command that cannot
 * be executed is no failure here: the shim says so, see shim.h, and exits.
 */
int proc_spawn(struct proc *, struct loop *, const struct proc_spec *,
               const struct proc_ops *) MUST_CHECK;

/* Where the child's input is written, if it has one. */
static inline struct stream *proc_in(struct proc *p)
{
    return &p->in;
}

/* Ends the child's input once what is queued has been written. */
void proc_end_input(struct proc *);

/* Signals the child's whole process group; nothing once it has been reaped. */
void proc_signal(struct proc *, int signal);

/* Lets go of the pipes; `exited` must have been called.  `gone` follows. */
void proc_close(struct proc *);
