/*
 * event: messages of the bus, given to workers.
 *
 * They never wait in a pool: event_worker() says who can take one now, and where nobody can it
 * stays in the bus until the pools' observer hears of `room`.  One that is given is a call like
 * any other, with a slot: the end of its worker, its deadline, a cancel and a drain end it as
 * they end a request.  The pool never tries it again, and nobody is suspected for it: how often
 * it is tried is the bus's business.
 *
 * A seat is what one instance takes of one kind of messages, those of a group, at a time.
 */
#pragma once

#include "pool/pool.h"

/* A call without a deadline. */
#define EVENT_NO_DEADLINE UINT64_MAX

struct seat {
    struct seat *next; /* of the same worker */
    const void *kind;  /* what the owner of the messages knows them by */
    unsigned max;      /* 0: no more of them */
    unsigned used;
    bool alone; /* by one that wants nothing else of its kind beside it */
};

/* From now on the worker takes at most `max` of these at a time; 0: none. */
void event_seat(struct worker *, const void *kind, unsigned max);

/* It takes nothing any more, of any kind; what it has goes on. */
void event_unseat(struct worker *);

/* Does it take any of these? */
bool event_takes(const struct worker *, const void *kind);

/*
 * The least loaded instance that can take one of these now; NULL: nobody can.  Requests and
 * asks go before: nobody can while they wait.  alone: only one that has none of its kind.
 */
struct worker *event_worker(struct pool *, const void *kind, bool alone);

/*
 * Gives it to that worker, at once.  timeout_ms 0 = none.  `done` follows as for pool_submit().
 */
void event_give(struct worker *, struct call *, const void *kind, bool alone,
                uint64_t timeout_ms);

/* Its handler lives: the timeout begins anew. */
void event_progress(struct call *);

/* How long this call has been with its worker. */
uint64_t event_ran_ms(const struct call *);

/* A line that wants no answer; false when the worker's pipe is full, or it does not serve. */
bool event_tell(struct worker *, struct slice line);

/*
 * What the worker writes is not read until event_release(): whoever takes it has too much
 * already.  It is not taken for frozen meanwhile.
 */
void event_hold(struct worker *);
void event_release(struct worker *);

/* So many instances are needed for what waits in the bus, which is `backlog`, and is under way.
 */
void event_need(struct pool *, double instances, uint64_t backlog);

/* --------------------------------------------- for the files of this room */

/* The slot is freed. */
void event_left(struct slot *);

/* Its process has ended: its seats go. */
void event_forget(struct worker *);

/* Frames that are for the bus. */
void event_from_worker(struct worker *, const struct frame *);
