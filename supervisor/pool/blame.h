/*
 * blame: which requests a worker had when it ended, and what follows for those like them.
 *
 * The pools' side of quarantine.h.  A call that was given up before, because its time was
 * over or its client had left, is remembered by its slot: the worker may still be at it.
 */
#pragma once

#include "pool/pool.h"

/* What a slot's call was, when it is over and the slot is not. */
struct past_call {
    bool known; /* what it asked for can be refused */
    struct suspect suspect;
    char what[160];
    char route[160];
    char request_id[64];
};

/* One line, or one proxied request, that a worker had, for a report. */
struct blamed {
    char what[160];  /* "GET /fib?num=10"; "" = not known */
    char route[160]; /* "GET /users/:id"; "" = not known, or as `what` */
    char request_id[64];
    uint64_t ms; /* since it was written to the worker, or sent to its port */
    bool begun;
    bool given_up; /* nobody waited for it any more */
};

void blame_describe(const struct slot *, struct blamed *);
void blame_describe_use(const struct use *, struct blamed *);

/* The call is about to leave its slot, which stays. */
void blame_remember(struct slot *, const struct call *);

/* Its process has ended with what is in its slots: counts what may be to blame. */
void blame_ended(struct worker *);

/* For those below, when there are suspects at all: which is nearly never. */
const struct call_failure *blame_look_up(struct pool *, const struct call *);
void blame_forget(struct pool *, const struct call *);
const struct call_failure *blame_look_up_use(struct pool *, const struct use *);
void blame_forget_use(struct pool *, const struct use *);

/* NULL: it may be given to a worker.  Else why not, valid until the next call. */
static inline const struct call_failure *blame_refuses(struct pool *pool,
                                                       const struct call *call)
{
    return pool->quarantine.count ? blame_look_up(pool, call) : NULL;
}

/* Its worker has answered it. */
static inline void blame_acquit(struct pool *pool, const struct call *call)
{
    if (pool->quarantine.count)
        blame_forget(pool, call);
}

/* The same of what goes to an instance's port. */
static inline const struct call_failure *blame_refuses_use(struct pool *pool,
                                                           const struct use *use)
{
    return pool->quarantine.count ? blame_look_up_use(pool, use) : NULL;
}

static inline void blame_acquit_use(struct pool *pool, const struct use *use)
{
    if (pool->quarantine.count)
        blame_forget_use(pool, use);
}
