/*
 * balance: which instance gets the next call, and how much it may be given ahead.
 * Pure.
 */
#pragma once

#include "base/metric.h"

/* What is known of an instance that may be given work. */
struct balance_load {
    unsigned open;        /* lines written and not answered */
    unsigned concurrency; /* how many it works on at once */
};

/* Has the first a smaller share of its capacity taken? */
bool balance_less(const struct balance_load *, const struct balance_load *);

/*
 * How many lines may wait in the pipe of a one-at-a-time worker behind the one it
 * works on.  Waiting there hides a wake-up but binds the call to this worker, so
 * the expected wait (lines x recent peak service time) stays within BALANCE_WAIT_US;
 * an instance that is unknown or recently slow gets none.
 */
enum { BALANCE_WAIT_US = 2000 };

unsigned balance_prefetch(const struct pace *, unsigned declared);
