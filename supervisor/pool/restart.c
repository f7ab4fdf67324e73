#include "pool/restart.h"

enum { HEALTHY_MS = 1000 };

static uint64_t pause_for(const struct restart_policy *policy, unsigned streak)
{
    uint64_t pause = policy->backoff_min_ms;
    for (unsigned i = 1; i < streak && pause < policy->backoff_max_ms; i++)
        pause *= 2;
    return MIN(pause, policy->backoff_max_ms);
}

/* 75 % to 100 % of the pause. */
static uint64_t spread(uint64_t pause, uint32_t dice)
{
    uint64_t quarter = pause / 4;
    return pause - (quarter ? dice % (quarter + 1) : 0);
}

bool restart_applies(struct restart *r, const struct restart_policy *policy,
                     enum restart_cause cause, uint64_t ready_ms)
{
    if (cause == RESTART_REFUSED || policy->when.when == RESTART_NO)
        return false;
    if (policy->when.when != RESTART_ON_FAILURE)
        return true;
    if (ready_ms && ready_ms >= policy->backoff_reset_ms)
        r->tries = 0;
    if (cause == RESTART_WELL || (policy->when.most && r->tries >= policy->when.most))
        return false;
    r->tries++;
    return true;
}

struct restart_verdict restart_after_crash(struct restart *r,
                                           const struct restart_policy *policy,
                                           uint64_t ready_ms, uint32_t dice)
{
    if (ready_ms >= policy->backoff_reset_ms)
        r->streak = 0;
    bool healthy = ready_ms >= HEALTHY_MS;
    if (healthy && r->streak == 0) {
        r->streak = 1;
        r->unready = 0;
        return (struct restart_verdict){0};
    }
    r->unready = ready_ms ? 0 : r->unready + 1;
    if (!healthy || r->streak == 0)
        r->streak++;
    if (r->unready && r->unready >= policy->max_restarts)
        return (struct restart_verdict){.delay_ms = policy->failed_retry_ms, .failed = true};
    return (struct restart_verdict){.delay_ms = spread(pause_for(policy, r->streak), dice)};
}
