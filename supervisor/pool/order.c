#include "pool/order.h"

#include <stdio.h>

#include "pool/rest.h"

enum verdict { HOLDS, NOT_YET, HOPELESS };

static struct pool *needed(const struct pool *pool, const struct dependency *d)
{
    return pools_find(pool->pools, slice_of(d->name));
}

static bool has_started(const struct pool *pool)
{
    for (int state = WORKER_STARTING; state <= WORKER_UNHEALTHY; state++)
        if (!list_empty(&pool->states[state]))
            return true;
    return pool->rest == POOL_ENDED && pool->has_ended;
}

static bool is_met(const struct pool *on, int condition)
{
    switch (condition) {
    case DEPENDENCY_STARTED:
        return has_started(on);
    case DEPENDENCY_COMPLETED:
        return on->rest == POOL_ENDED && on->ended_well;
    default:
        return !list_empty(&on->states[WORKER_READY]) || !list_empty(&on->states[WORKER_BUSY]);
    }
}

/* It will not come true unless somebody does something, or luck turns. */
static bool is_hopeless(const struct pool *on)
{
    return on->rest == POOL_HELD || on->rest == POOL_ENDED || on->rest == POOL_DORMANT ||
           (on->begun && pool_is_down(on));
}

static enum verdict judge(const struct pool *pool, const struct dependency *d)
{
    const struct pool *on = needed(pool, d);
    if (!on || is_met(on, d->condition))
        return HOLDS;
    if (!is_hopeless(on))
        return NOT_YET;
    return d->required ? HOPELESS : HOLDS;
}

/* What it waits for first, or NULL; what will not come says more than what is on its way. */
static const struct dependency *obstacle(const struct pool *pool, bool *hopeless)
{
    const struct dependency_list *all = &pool->config->depends_on;
    const struct dependency *first = NULL;
    *hopeless = false;
    for (size_t i = 0; i < all->count && !*hopeless; i++) {
        enum verdict verdict = judge(pool, &all->items[i]);
        if (verdict == HOPELESS || (verdict == NOT_YET && !first))
            first = &all->items[i];
        *hopeless = verdict == HOPELESS;
    }
    return first;
}

static const char *until(const struct dependency *d)
{
    return d->condition == DEPENDENCY_STARTED     ? "has started"
           : d->condition == DEPENDENCY_COMPLETED ? "has completed"
                                                  : "is ready";
}

static void give_up_hope(struct pool *pool, const struct dependency *d)
{
    const struct pool *on = needed(pool, d);
    pool->hopeless = true;
    pool_note_trouble(pool, "waits until %s %s: %.400s", d->name, until(d),
                      on->trouble[0] ? on->trouble : "it does not run");
    pool_tell(pool, NULL, LOG_ERROR, "it is not started: it %s",
              pool->trouble + strlen(pool_kind(pool)) + strlen(pool->config->name) + 2);
    pool_fail_waiting(pool);
}

/* Nobody should wait for it who would not wait for what it waits for. */
static bool is_settled(const struct pool *pool, const struct dependency *d)
{
    return pool->hopeless || (d->condition == DEPENDENCY_HEALTHY && needed(pool, d)->settled);
}

bool order_waits(struct pool *pool)
{
    bool hopeless;
    const struct dependency *d = obstacle(pool, &hopeless);
    if (!d)
        return false;
    bool is_news =
        pool->rest != POOL_WAITS || !pool->waits_for || strcmp(pool->waits_for, d->name) != 0;
    pool->rest = POOL_WAITS;
    pool->waits_for = d->name;
    if (hopeless && !pool->hopeless)
        give_up_hope(pool, d);
    pool->hopeless = hopeless;
    if (!hopeless && is_news) {
        pool->trouble[0] = '\0';
        pool_tell(pool, NULL, LOG_INFO, "waits until %s %s", d->name, until(d));
    }
    if (is_news)
        pool_changed(pool);
    if (is_settled(pool, d))
        pool_settle(pool);
    return true;
}

void order_wake(struct pool *pool)
{
    const struct dependency_list *all = &pool->config->depends_on;
    for (size_t i = 0; i < all->count; i++) {
        struct pool *on = needed(pool, &all->items[i]);
        bool rests = on && (on->begun ? on->rest == POOL_DORMANT
                                      : on->rest == POOL_RUNS && rest_is_dormant(on));
        if (rests && all->items[i].required)
            rest_begin(on);
    }
}

void order_restart_dependents(struct pool *pool)
{
    list_each (at, &pool->pools->list) {
        struct pool *other = container_of(at, struct pool, node);
        const struct dependency_list *all = &other->config->depends_on;
        for (size_t i = 0; i < all->count && other->rest == POOL_RUNS; i++)
            if (all->items[i].restart && needed(other, &all->items[i]) == pool && other->begun)
                pool_restart(other, "what it depends on is restarted");
    }
}

/* ------------------------------------------------------------------ the way down */

static bool is_needed(const struct pool *pool)
{
    list_each (at, &pool->pools->list) {
        const struct pool *other = container_of(at, struct pool, node);
        const struct dependency_list *all = &other->config->depends_on;
        for (size_t i = 0; i < all->count && pool_has_process(other); i++)
            if (strcmp(all->items[i].name, pool->config->name) == 0)
                return true;
    }
    return false;
}

static void drain(struct worker *w, uint64_t limit_ms)
{
    if (w->state != WORKER_DRAINING)
        worker_drain(w, limit_ms, "nodey is shutting down");
}

static void drain_unborn(struct worker *w, uint64_t limit_ms)
{
    if (!w->spawned)
        worker_drain(w, limit_ms, "nodey is shutting down");
}

void order_stop(struct pools *pools)
{
    uint64_t now = loop_now(pools->loop);
    uint64_t left = pools->stop_at_ms > now ? pools->stop_at_ms - now : 0;
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (pool->told_to_stop)
            continue;
        pool->told_to_stop = left == 0 || !is_needed(pool);
        pool_each_worker(pool, pool->told_to_stop ? drain : drain_unborn, left);
    }
}

/* ----------------------------------------------------------------------- changes */

static void on_order(struct task *task)
{
    struct pools *pools = container_of(task, struct pools, order);
    if (pools->stopping) {
        order_stop(pools);
        return;
    }
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (pool->rest == POOL_WAITS && !pool->leaving && !order_waits(pool)) {
            pool_tell(pool, NULL, LOG_DEBUG, "what it waited for is there: starting");
            rest_over(pool);
        }
    }
}

void order_init(struct pools *pools)
{
    task_init(&pools->order, on_order);
}

void order_changed(struct pools *pools)
{
    loop_defer(pools->loop, &pools->order);
}
