#include "pool/rest.h"

#include <stdio.h>

#include "pool/order.h"
#include "pool/service.h"

static bool has(const struct string_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

bool rest_is_dormant(const struct pool *pool)
{
    const struct pools *pools = pool->pools;
    const struct string_list *of = &pool->config->profiles;
    if (pools->only.count)
        return !has(&pools->only, pool->config->name);
    bool asked = of->count == 0 || has(&pools->profiles, "*");
    for (size_t i = 0; i < of->count && !asked; i++)
        asked = has(&pools->profiles, of->items[i]);
    return !asked;
}

/* -------------------------------------------------------------------- starting */

void rest_over(struct pool *pool)
{
    pool->rest = POOL_RUNS;
    pool->waits_for = NULL;
    pool->hopeless = pool->again = false;
    pool->trouble[0] = '\0';
    for (size_t i = 0; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        instance->restart = (struct restart){0};
        instance->again = instance->ended = instance->ended_badly = false;
        instance->pause_ms = 0;
    }
    if (!pool->instances[0].current)
        pool->instances[0].current = worker_new(pool, 0, 0, /* failed= */ false);
    pool_changed(pool);
}

void rest_begin(struct pool *pool)
{
    if (pool->leaving || pool->pools->stopping)
        return;
    pool->begun = true;
    pool->rest = POOL_RUNS;
    pool->trouble[0] = '\0';
    pool->again = pool_has_process(pool);
    if (pool->again)
        return;
    order_wake(pool);
    if (!order_waits(pool))
        rest_over(pool);
    else
        pool_changed(pool);
}

void rest_configured(struct pool *pool, bool policy_changed)
{
    if (!pool->begun)
        return;
    bool wakes = pool->rest == POOL_DORMANT && !rest_is_dormant(pool);
    uint32_t when = pool->config->restart.when;
    bool goes_on = pool->rest == POOL_ENDED && policy_changed &&
                   (when == RESTART_ALWAYS || when == RESTART_UNLESS_STOPPED);
    if (wakes || goes_on)
        rest_begin(pool);
    else if (pool->rest == POOL_WAITS && !order_waits(pool))
        rest_over(pool);
}

void rest_process_ended(struct pool *pool)
{
    if (pool->again && !pool_has_process(pool))
        rest_begin(pool);
}

/* ------------------------------------------------------------------ an end for good */

/* Why nothing is left to run; the last one's word, if there are several. */
static void end(struct pool *pool, const char *how)
{
    pool->ended_well = true;
    for (size_t i = 0; i < pool->places; i++)
        pool->ended_well &= !pool->instances[i].ended_badly;
    pool->rest = POOL_ENDED;
    pool->renewing = false;
    pool_note_trouble(pool, "%s (%.400s)",
                      pool->ended_well ? "has done its work and ended"
                                       : "has ended, and is not to be started again",
                      how);
    pool_changed(pool);
    pool_settle(pool);
}

void rest_place_ended(struct pool *pool, struct instance *instance, bool well, const char *how)
{
    instance->ended = true;
    instance->ended_badly = !well;
    if (pool->rest != POOL_RUNS || pool->leaving || pool->pools->stopping)
        return;
    for (size_t i = 0; i < pool->wanted; i++)
        if (pool->instances[i].current || pool->instances[i].again)
            return;
    end(pool, how);
}

/* ------------------------------------------------------------- by a person's word */

/* Nothing follows what runs now. */
static void empty_places(struct pool *pool, const char *why)
{
    pool->renewing = pool->again = false;
    for (size_t i = 0; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        struct worker *old = instance->current;
        instance->current = NULL;
        instance->again = false;
        pool_drop_next(instance, why);
        if (old)
            worker_drain(old, pool->config->timeout, why);
    }
}

void pool_hold(struct pool *pool, const char *why)
{
    if (pool->rest == POOL_HELD || pool->leaving || pool->pools->stopping)
        return;
    if (pool->begun)
        pool_tell(pool, NULL, LOG_INFO, "%s: it stops", why);
    pool->rest = POOL_HELD;
    pool->waits_for = NULL;
    pool->hopeless = false;
    empty_places(pool, why);
    pool_note_trouble(pool, "is stopped: %.400s", why);
    pool_fail_waiting(pool);
    pool_changed(pool);
    order_changed(pool->pools);
    if (pool->begun)
        pool_settle(pool);
}

void pool_release(struct pool *pool)
{
    if (pool->leaving || pool->pools->stopping || pool->rest == POOL_RUNS)
        return;
    pool_tell(pool, NULL, LOG_INFO, "starting");
    if (pool->rest == POOL_WAITS)
        rest_over(pool);
    else
        rest_begin(pool);
}

void pool_restart(struct pool *pool, const char *why)
{
    if (pool->leaving || pool->pools->stopping || pool->rest == POOL_WAITS)
        return;
    pool_tell(pool, NULL, LOG_INFO, "%s: restarting", why);
    pool->rest = POOL_RUNS;
    empty_places(pool, why);
    rest_begin(pool);
    order_restart_dependents(pool);
}

static void send_signal(struct worker *w, uint64_t signal)
{
    if (!worker_alive(w))
        return;
    w->signalled = (int)signal;
    proc_signal(&w->proc, (int)signal);
}

unsigned pool_signal(struct pool *pool, int signal)
{
    unsigned count = 0;
    for (int state = WORKER_STARTING; state <= WORKER_DRAINING; state++)
        list_each (at, &pool->states[state])
            count += worker_alive(container_of(at, struct worker, node));
    pool_each_worker(pool, send_signal, (uint64_t)signal);
    return count;
}
