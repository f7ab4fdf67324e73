/*
 * postmortem: what is known of a worker when it has ended, for a report of it.
 *
 * Its last lines are kept while it lives, those over its log_rate too.  One that is frozen is
 * asked for its stack before it is ended, and gets a moment to give it:
 *
 *      Python   SIGQUIT, at which the SDK has faulthandler write all threads' stacks
 *      Node     SIGUSR1, which starts its debugger; that pauses it: see inspector.h
 *
 * A program that does not catch these signals is not asked: they would kill it.
 */
#pragma once

#include "base/buf.h"
#include "loop/proc.h"
#include "loop/timer.h"
#include "os/usage.h"

struct inspector;
struct slot;
struct worker;

enum {
    POSTMORTEM_LINES = 40,
    POSTMORTEM_LINE = 1024, /* bytes of a line that are kept */
    POSTMORTEM_BYTES = 16 << 10,
    POSTMORTEM_STACK = 16 << 10,
    POSTMORTEM_ASK_MS = 300, /* how long its end waits for the stack */
};

struct postmortem {
    struct worker *worker; /* whose it is, once it was asked */
    struct buf lines;      /* "1732200000123 stderr text" each with its LF, oldest first */
    struct buf stack;      /* lines, as it gave it; empty = none */
    const char *did;       /* "was using the CPU", when it was given up; NULL = not known */
    bool measured;         /* when it was given up: */
    struct usage usage;
    bool asked;
    bool asking;
    bool by_debugger;
    struct inspector *inspector;
    struct timer limit; /* of asking */
    struct timer quiet; /* it has written a stack and does not go on */
    void (*then)(struct worker *);
};

/* It wrote this, or said it by frames; "stdout", "stderr", "log" or "error". */
void postmortem_note(struct worker *, const char *stream, struct slice text);

/* Is this line on its stderr a part of what it was asked for?  Then it is taken. */
bool postmortem_takes(struct worker *, struct slice line);

/*
 * Asks it for its stack.  True: `then` comes, once, from the loop and within
 * POSTMORTEM_ASK_MS, unless the process ends before; and also while that is to come.
 * False: nothing can be asked for, or it was; nothing comes.
 */
bool postmortem_ask(struct worker *, void (*then)(struct worker *));

/* Its process has ended: nothing more comes. */
void postmortem_ended(struct worker *);
void postmortem_free(struct worker *);

/*
 * Appends its stack: what it gave when it was asked, or what its last lines tell of how it
 * died.  Nothing when there is none.
 */
void postmortem_stack(const struct worker *, struct buf *out);

/* "killed by SIGKILL", "exited with status 127 (the command was not found)". */
void postmortem_describe_exit(const struct proc_exit *, char *text, size_t size);

/* "SIGKILL"; "signal 35" for those without a name. */
void postmortem_signal_name(int signal, char *text, size_t size);
