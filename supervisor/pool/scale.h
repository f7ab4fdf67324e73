/*
 * scale: how many instances a pool needs, if its configuration gives it a range.
 *
 * More, as many as the queue needs, when calls have waited for a while although all instances
 * work, when those that take many calls at a time (an event loop) do nothing but compute, or
 * when more waits in the bus than they will handle in a while.
 * Never so many that the machine's memory might run out.  One less, each time that the
 * others would have done for scale_idle.
 *
 * scale_decide() is the rule, and pure.  The rest looks at a pool ten times a second while
 * calls wait, seldom while it has more instances than it must have, and else not at all.
 */
#pragma once

#include "loop/timer.h"

struct pool;

/* What a pool looks like at one moment. */
struct scale_view {
    uint64_t now_ms;
    size_t wanted, min, max; /* instances: as many as there are to be now, and the range */
    size_t serving;          /* of them */
    size_t cpus;             /* so many can compute at a time */
    bool free;               /* one of them could take another call */
    size_t waiting;          /* calls */
    uint64_t waited_ms;      /* by the one of them that has waited longest */
    double service_ms;       /* that one call takes, as far as that is known */
    size_t slots;            /* calls that one instance takes at a time, at least 1 */
    size_t needed;           /* instances, for what waits in the bus and its like under way */
    uint64_t backlog;        /* so much waits there */
    double used;             /* instances' worth of calls, or of computing, under way */
    double load;             /* 0..1: how much of its time the least busy one computes */
    uint64_t idle_ms;        /* scale_idle */
};

enum scale_reason { SCALE_STAYS, SCALE_WAITED, SCALE_COMPUTES, SCALE_BACKLOG, SCALE_IDLE };

struct scale {
    struct timer timer;
    bool fixed;             /* a person has said how many */
    bool short_of_memory;   /* one more was refused, and that was told */
    unsigned late;          /* looks in a row at which a call had waited for too long */
    unsigned hot;           /* looks in a row at which all computed */
    double used;            /* a mean that forgets */
    uint64_t looked_ms;     /* when it was brought up to date; 0 = never */
    uint64_t spare_ms;      /* since when one less would do; 0 = it would not */
    uint64_t not_before_ms; /* more are not asked for */
    char why[200];          /* what was done last, for a person; "" = nothing was */
};

/* How many instances there should be; keeps count in `scale`. */
size_t scale_decide(struct scale *, const struct scale_view *, enum scale_reason *);

/* So many instances more can be had: enough for one stays free. */
size_t scale_room(uint64_t available, uint64_t largest);

/* ---------------------------------------------------------------------- of a pool */

/* Has its configuration given it a range, and no person a number? */
bool scale_follows(const struct pool *);

/* Something may have changed: it is looked at, if there is something to decide. */
void scale_wake(struct pool *);

/* A person's number holds; the load decides again. */
void scale_fix(struct pool *, size_t instances);
void scale_release(struct pool *);

/* It is about to be freed. */
void scale_deinit(struct pool *);
