#include "pool/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/ask.h"
#include "pool/order.h"
#include "pool/rest.h"

enum {
    SETTLE_AFTER = 3, /* failed starts in a row after which nobody waits for it */
    TOLD_MAX = 4096,  /* warnings that are remembered */
};

void pool_tell(const struct pool *pool, const struct worker *w, enum log_level level,
               const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct pool_observer *observer = pool->pools->observer;
    observer->tell(observer, pool, w, level, text);
}

/* FNV-1a. */
static uint64_t hash_of(const char *name, const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

void pool_tell_once(const struct pool *pool, const char *fmt, ...)
{
    struct pools *pools = pool->pools;
    char text[640];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    uint64_t hash = hash_of(pool->config->name, text);
    for (size_t i = 0; i < pools->told_count; i++)
        if (pools->told[i] == hash)
            return;
    if (pools->told_count < TOLD_MAX) {
        pools->told = xrealloc(pools->told, (pools->told_count + 1) * sizeof(*pools->told));
        pools->told[pools->told_count++] = hash;
    }
    pool_tell(pool, NULL, LOG_WARN, "%s", text);
}

const char *pool_kind(const struct pool *pool)
{
    return pool->config->is_service ? "service" : "worker";
}

void pool_note_trouble(struct pool *pool, const char *fmt, ...)
{
    char text[sizeof(pool->trouble) - 96];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(pool->trouble, sizeof(pool->trouble), "%s %s %s", pool_kind(pool),
             pool->config->name, text);
}

void pool_changed(struct pool *pool)
{
    struct pool_observer *observer = pool->pools->observer;
    if (observer->changed)
        observer->changed(observer, pool);
}

/* ------------------------------------------------------------------- looking */

bool pool_serves(const struct pool *pool)
{
    return !list_empty(&pool->states[WORKER_READY]) ||
           !list_empty(&pool->states[WORKER_BUSY]) ||
           !list_empty(&pool->states[WORKER_UNHEALTHY]);
}

bool pool_may_start(const struct pool *pool)
{
    return pool->rest == POOL_RUNS && !pool->again && !pool->leaving && !pool->pools->stopping;
}

bool pool_has_process(const struct pool *pool)
{
    for (int state = WORKER_STARTING; state <= WORKER_DRAINING; state++)
        if (!list_empty(&pool->states[state]))
            return true;
    return false;
}

bool pool_overlaps(const struct pool *pool)
{
    return !pool->config->is_service || pool->config->port == PORT_AUTO;
}

bool pool_is_hopeless(const struct pool *pool, const struct instance *instance)
{
    return instance->restart.unready >= MIN((uint64_t)SETTLE_AFTER, pool->policy.max_restarts);
}

bool pool_is_down(const struct pool *pool)
{
    if (pool_serves(pool))
        return false;
    if (pool->leaving)
        return true;
    if (pool->rest != POOL_RUNS)
        return pool->rest != POOL_WAITS || pool->hopeless;
    if (pool->again)
        return false;
    for (size_t i = 0; i < pool->wanted; i++) {
        const struct instance *instance = &pool->instances[i];
        if ((instance->current || instance->again) && !pool_is_hopeless(pool, instance))
            return false;
    }
    return true;
}

/* ----------------------------------------------------------------- instances */

void pool_settle(struct pool *pool)
{
    if (pool->settled)
        return;
    pool->settled = true;
    struct pool_observer *observer = pool->pools->observer;
    observer->settled(observer, pool);
    ask_retry_lost(pool->pools);
    order_changed(pool->pools);
}

void pool_fill(struct pool *pool)
{
    for (unsigned i = 0; i < pool->wanted && pool_may_start(pool); i++) {
        struct instance *instance = &pool->instances[i];
        if (!instance->current && !instance->again && !instance->ended)
            instance->current = worker_new(pool, i, 0, false);
    }
}

static uint64_t jitter(uint64_t value)
{
    return value - arc4random_uniform((uint32_t)MIN(value / 10 + 1, (uint64_t)UINT32_MAX));
}

static void on_ttl(struct timer *timer)
{
    pool_replace_later(container_of(timer, struct worker, timer), "its ttl is over");
}

static void plan_end(struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    timer_stop(w->pool->pools->loop, &w->timer);
    if (config->max_requests)
        w->recycle_at = jitter(config->max_requests);
    if (config->ttl)
        timer_start(w->pool->pools->loop, &w->timer, jitter(config->ttl), on_ttl);
}

void pool_worker_ready(struct worker *w)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    instance->restart.unready = 0;
    pool->trouble[0] = '\0';
    if (w->generation == pool->generation)
        pool->stale[0] = '\0';
    quarantine_renew(&pool->quarantine, w->generation);
    plan_end(w);
    pool_tell(pool, w, LOG_DEBUG, "ready");
    if (instance->next == w) {
        struct worker *old = instance->current;
        instance->current = w;
        instance->next = NULL;
        uint64_t limit =
            old->end == END_FROZEN ? pool->config->stop_grace_period : pool->config->timeout;
        worker_drain(old, limit, old->cause[0] ? old->cause : "replaced");
    }
    struct pool_observer *observer = pool->pools->observer;
    observer->ready(observer, pool, w);
    ask_tokens_changed(pool->pools);
    pool_fill(pool);
    pool_settle(pool);
    pool_dispatch(pool);
    pool_changed(pool);
    order_changed(pool->pools);
}

/* -------------------------------------------------------------------- a pool */

static void on_gone(struct task *task)
{
    pool_free(container_of(task, struct pool, gone));
}

void pool_each_worker(struct pool *pool, void (*visit)(struct worker *, uint64_t), uint64_t arg)
{
    for (int state = 0; state < WORKER_STOPPED; state++)
        list_each_safe (at, &pool->states[state])
            visit(container_of(at, struct worker, node), arg);
}

void pool_free(struct pool *pool)
{
    task_cancel(&pool->gone);
    scale_deinit(pool);
    list_del(&pool->node);
    config_release(pool->held);
    quarantine_deinit(&pool->quarantine);
    xfree(pool->instances);
    xfree(pool);
}

struct pool *pool_new(struct pools *pools, const struct worker_config *config)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pool->pools = pools;
    pool->generation = 1;
    pool->renewed_life = pools->next_life + 1;
    pool->retry_budget = POOL_RETRY_BURST;
    quarantine_init(&pool->quarantine);
    for (int i = 0; i < WORKER_STATES; i++)
        list_init(&pool->states[i]);
    list_init(&pool->asks);
    list_init(&pool->requests);
    task_init(&pool->gone, on_gone);
    list_add(&pools->list, &pool->node);
    pool_configure(pool, config);
    return pool;
}

void pool_start(struct pool *pool)
{
    pool->begun = true;
    if (pool->rest != POOL_HELD && !rest_is_dormant(pool)) {
        rest_begin(pool);
        return;
    }
    if (pool->rest != POOL_HELD) {
        pool->rest = POOL_DORMANT;
        pool_note_trouble(pool, "is not to run now: nobody asked for it, or for its profile");
    }
    pool_settle(pool);
}

const struct ready *pool_declaration(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        if (!list_empty(&pool->states[state]))
            return &list_first(&pool->states[state], struct worker, node)->ready;
    return NULL;
}
