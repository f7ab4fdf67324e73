/*
 * restart: when to start again what has crashed.  Pure.
 *
 * The pause doubles from backoff_min to backoff_max with each crash in a row and
 * is spread by up to a quarter, so that instances do not march in step.  Whoever
 * was ready for a second is started again at once the first time; whoever was ready
 * for backoff_reset begins anew; whoever crashes max_restarts times without having
 * been ready in between has failed, and is tried again every failed_retry.
 */
#pragma once

#include "config/config.h"

enum { RESTART_NEVER_STATUS = 125 }; /* a program's own word: do not start me again (as s6) */

struct restart_policy {
    uint64_t backoff_min_ms;
    uint64_t backoff_max_ms;
    uint64_t backoff_reset_ms;
    uint64_t max_restarts;
    uint64_t failed_retry_ms;
    struct restart_config when;
};

struct restart {
    unsigned streak;  /* crashes that pause the next start */
    unsigned unready; /* crashes in a row without ready in between */
    uint32_t tries;   /* restarts of on-failure:N in a row */
};

/* How a process ended. */
enum restart_cause {
    RESTART_WELL,    /* by itself, with status 0 */
    RESTART_FAILED,  /* with another one, by a signal, or because nodey ended it */
    RESTART_REFUSED, /* with RESTART_NEVER_STATUS */
};

struct restart_verdict {
    uint64_t delay_ms;
    bool failed;
};

/*
 * Is it started again?  It was well for ready_ms before (0 = never): long enough, and the
 * restarts of on-failure:N are counted anew.
 */
bool restart_applies(struct restart *, const struct restart_policy *, enum restart_cause,
                     uint64_t ready_ms);

/*
 * It crashed after having been ready for ready_ms (0 = never).  `dice` is a random
 * number.
 */
struct restart_verdict restart_after_crash(struct restart *, const struct restart_policy *,
                                           uint64_t ready_ms, uint32_t dice);
