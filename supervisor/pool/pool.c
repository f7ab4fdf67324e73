#include "pool/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/ask.h"

enum {
    SETTLE_AFTER = 3,   /* failed starts in a row after which nobody waits for it */
    LIFE_MIN_MS = 1000, /* of a worker that is replaced by plan */
    TOLD_MAX = 4096,    /* warnings that are remembered */
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

bool pool_serves(const struct pool *pool)
{
    return !list_empty(&pool->states[WORKER_READY]) ||
           !list_empty(&pool->states[WORKER_BUSY]) ||
           !list_empty(&pool->states[WORKER_UNHEALTHY]);
}

/* It crashes so often before it is ready that nobody waits for it any more. */
static bool is_hopeless(const struct pool *pool, const struct instance *instance)
{
    return instance->restart.unready >= MIN((uint64_t)SETTLE_AFTER, pool->policy.max_restarts);
}

/* It has no instance and is not about to have one. */
bool pool_is_down(const struct pool *pool)
{
    if (pool_serves(pool))
        return false;
    if (pool->leaving)
        return true;
    for (size_t i = 0; i < pool->config->instances; i++)
        if (pool->instances[i].current && !is_hopeless(pool, &pool->instances[i]))
            return false;
    return true;
}

/* ----------------------------------------------------------------- instances */

static void settle(struct pool *pool)
{
    if (pool->settled)
        return;
    pool->settled = true;
    struct pool_observer *observer = pool->pools->observer;
    observer->settled(observer, pool);
    ask_retry_lost(pool->pools);
}

/* The instances that waited for the first to go ahead. */
void pool_fill(struct pool *pool)
{
    for (unsigned i = 0; i < pool->config->instances; i++)
        if (!pool->instances[i].current && !pool->pools->stopping && !pool->leaving)
            pool->instances[i].current = worker_new(pool, i, 0, false);
}

static const char *cause_of(const struct worker *w, const char *how)
{
    return w->cause[0] ? w->cause : how;
}

static void note_trouble(struct pool *pool, const struct worker *w, const char *how)
{
    if (w->ready_ms)
        return;
    snprintf(pool->trouble, sizeof(pool->trouble), "worker %s does not start: %.511s",
             pool->config->name,
             w->cause[0]        ? w->cause
             : w->last_words[0] ? w->last_words
                                : how);
}

static struct restart_verdict judge_crash(struct worker *w)
{
    struct pool *pool = w->pool;
    uint64_t up = w->ready_ms ? loop_now(pool->pools->loop) - w->ready_ms + 1 : 0;
    return restart_after_crash(&pool->instances[w->instance].restart, &pool->policy, up,
                               arc4random());
}

/* The next life of an instance that crashed. */
static struct worker *after_crash(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    struct restart_verdict verdict = judge_crash(w);
    const char *cause = w->explained ? how : cause_of(w, how);
    const char *extra = cause == how ? "" : how;
    note_trouble(pool, w, how);
    if (verdict.failed)
        pool_tell(pool, w, LOG_ERROR,
                  "failed: %u crashes in a row without becoming ready (%s); next try in %llu s",
                  instance->restart.unready, cause,
                  (unsigned long long)verdict.delay_ms / 1000);
    else /* what it said of itself needs no repetition */
        pool_tell(pool, w,
                  w->explained && instance->restart.unready > 1 ? LOG_DEBUG : LOG_ERROR,
                  "%s%s%s; restarting in %llu ms", cause, *extra ? ": " : "", extra,
                  (unsigned long long)verdict.delay_ms);
    return worker_new(pool, w->instance, verdict.delay_ms, verdict.failed);
}

void pool_worker_ended(struct worker *w, const char *how, bool was_draining)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    /* One that died just before it was told to drain has a successor as well. */
    bool replaced = instance->current != w && instance->next != w;
    if (pool->pools->stopping || pool->leaving || was_draining || replaced) {
        if (instance->current == w)
            instance->current = NULL;
        if (instance->next == w)
            instance->next = NULL;
        pool_tell(pool, w, LOG_DEBUG, "ended (%s)", how);
        if (pool->leaving && pool_is_down(pool))
            pool_fail_waiting(pool);
        pool_dispatch(pool); /* what it had not begun has come back */
        return;
    }
    struct pool_observer *observer = pool->pools->observer;
    if (!w->ready_ms)
        observer->failed(observer, pool, w);
    if (pool_renewal_failed(w, cause_of(w, how)))
        return;
    if (instance->next == w) {
        instance->next = after_crash(w, how);
        pool_renewal_incomplete(pool);
    } else if (instance->next) { /* its successor is on the way already */
        pool_tell(pool, w, LOG_WARN, "%s before its replacement was ready", how);
        instance->current = instance->next;
        instance->next = NULL;
    } else {
        instance->current = after_crash(w, how);
    }
    if (w->overdue || is_hopeless(pool, instance))
        settle(pool);
    pool_check_renewal(pool);
    if (pool_is_down(pool))
        pool_fail_waiting(pool);
    pool_dispatch(pool);
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
    plan_end(w);
    pool_tell(pool, w, LOG_DEBUG, "ready");
    if (instance->next == w) {
        struct worker *old = instance->current;
        instance->current = w;
        instance->next = NULL;
        worker_drain(old, pool->config->timeout, "replaced");
    }
    struct pool_observer *observer = pool->pools->observer;
    observer->ready(observer, pool, w);
    ask_tokens_changed(pool->pools);
    pool_fill(pool);
    settle(pool);
    pool_dispatch(pool);
}

void pool_replace_now(struct worker *w)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current == w && !pool->pools->stopping && !pool->leaving) {
        instance->current =
            instance->next ? instance->next : worker_new(pool, w->instance, 0, false);
        instance->next = NULL;
    }
    worker_drain(w, 0, w->cause);
    pool_check_renewal(pool);
    pool_dispatch(pool);
}

void pool_replace_later(struct worker *w, const char *why)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current != w || instance->next || pool->pools->stopping || pool->leaving)
        return;
    pool_tell(pool, w, LOG_DEBUG, "is to be replaced: %s", why);
    /* A worker that asks for it as soon as it is ready must not become a fork bomb. */
    uint64_t up = loop_now(pool->pools->loop) - w->ready_ms;
    uint64_t pause = up < LIFE_MIN_MS ? LIFE_MIN_MS - up : 0;
    if (w->generation != pool->generation && !pool->renewing) /* the new version is broken */
        pause = pool->config->failed_retry;
    instance->next = worker_new(pool, w->instance, pause, /* failed= */ false);
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
    list_del(&pool->node);
    config_release(pool->held);
    xfree(pool->instances);
    xfree(pool);
}

struct pool *pool_new(struct pools *pools, const struct worker_config *config)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pool->pools = pools;
    pool->generation = 1;
    pool->retry_budget = POOL_RETRY_BURST;
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
    pool->instances[0].current = worker_new(pool, 0, 0, false);
}

const struct ready *pool_declaration(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        if (!list_empty(&pool->states[state]))
            return &list_first(&pool->states[state], struct worker, node)->ready;
    return NULL;
}
