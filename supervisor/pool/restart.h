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

#include "base/base.h"

struct restart_policy {
    uint64_t backoff_min_ms;
    uint64_t backoff_max_ms;
    uint64_t backoff_reset_ms;
    uint64_t max_restarts;
    uint64_t failed_retry_ms;
};

struct restart {
    unsigned streak;  /* crashes that pause the next start */
    unsigned unready; /* crashes in a row without ready in between */
};

struct restart_verdict {
    uint64_t delay_ms;
    bool failed;
};

/*
 * It crashed after having been ready for ready_ms (0 = never).  `dice` is a random
 * number.
 */
struct restart_verdict restart_after_crash(struct restart *, const struct restart_policy *,
                                           uint64_t ready_ms, uint32_t dice);
