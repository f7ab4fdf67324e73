/*
 * control_wait: requests of the control socket that are answered when what they began is done.
 *
 * Looked at twenty times a second while there are any, and not at all otherwise: what they
 * wait for is made of many small events, of which no single one says that it is over.
 */
#pragma once

#include "app/control.h"

enum waiter_goal {
    GOAL_NONE,  /* what was begun is over at once */
    GOAL_RUNS,  /* as many instances as are wanted serve, or it has run to its good end */
    GOAL_RENEW, /* the same, of instances begun from now on, and no older one serves */
    GOAL_ENDS,  /* no process of it is left */
};

/* What was begun, by whom and for how long it is waited for. */
struct waiter_order {
    enum waiter_goal goal;
    uint64_t first_life; /* GOAL_RENEW: of the first instance that is new */
    bool changed;        /* something was begun at all */
    unsigned signalled;  /* processes that got a signal */
    uint64_t wait_ms;    /* 0: answered at once */
};

/*
 * Answers when the order is done or cannot be, or its time is over: 200 with
 * {"changed","done","signalled","program"}, 409 or 504.  Ends the exchange, sooner or later;
 * when its client leaves before, the `struct pending` that is the exchange's data must be told.
 */
void control_wait(struct control *, struct exchange *, const struct pool *,
                  const struct waiter_order *);

enum waiter_verdict { WAITER_GOES_ON, WAITER_DONE, WAITER_FAILED };

/*
 * How far is the pool?  GOES_ON and FAILED with a sentence without its subject: "2 of 4
 * instances are ready".
 */
enum waiter_verdict waiter_judge(const struct pool *, enum waiter_goal, uint64_t first_life,
                                 struct err *);
