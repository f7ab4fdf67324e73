/*
 * use: a request that somebody else than its pool has under way at an instance of a service.
 *
 * Nothing of it passes through the pool: it goes to the instance's port.  The pool knows of it
 * so that the instance does not end before it, and so that it is named, and suspected, when the
 * instance ends with it (see blame.h).
 *
 * Its owner holds the instance from use_begin() to use_end(): what drains ends when nobody uses
 * it any more.  When its process has ended before, the worker is still there, `gone` is set and
 * there is no pool any more.
 */
#pragma once

#include "pool/call.h"

struct use;
struct worker;

struct use_ops {
    void (*describe)(const struct use *, struct call_about *);
    void (*identify)(const struct use *, struct call_identity *);
};

struct use {
    const struct use_ops *ops; /* NULL: nothing is known of it */
    struct worker *worker;     /* NULL: it is at none */
    struct list node;          /* in worker->used */
    uint64_t sent_ns;          /* when it was sent there; 0 = not yet */
    bool answering;            /* the answer has begun: it is suspected of nothing */
};

void use_begin(struct use *, struct worker *);

/* Nothing when it is at none. */
void use_end(struct use *);

/* Has the process of its instance ended, and has that been told? */
bool use_is_over(const struct use *);
