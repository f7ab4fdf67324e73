#include "pool/pool.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/ask.h"
#include "pool/balance.h"

enum {
    QUEUE_BYTES = 32 << 20, /* of waiting requests, in one pool */
    MOVES_MAX = 10,         /* times a call that was never started may go back */
    RETRY_BURST = 200,      /* started calls that may be tried again at once */
    SETTLE_AFTER = 3,       /* failed starts in a row after which nobody waits for it */
    RETRY_AFTER_S = 1,
};

static const double RETRY_SHARE = 0.1; /* of the calls may be second tries */

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

/* ------------------------------------------------------------------ failures */

static struct call_failure no_instance(const struct pool *pool)
{
    static const char down[] = "the worker does not start";
    return (struct call_failure){.code = "unavailable",
                                 .status = 503,
                                 .retry_after_s = RETRY_AFTER_S,
                                 .text = pool->trouble[0] ? pool->trouble : down};
}

static const struct call_failure queue_full = {
    .code = "unavailable",
    .status = 503,
    .retry_after_s = RETRY_AFTER_S,
    .text = "too many requests wait for this worker",
};
static const struct call_failure waited_too_long = {
    .code = "unavailable",
    .status = 503,
    .retry_after_s = RETRY_AFTER_S,
    .text = "no instance of the worker was free in time",
};
static const struct call_failure too_slow = {
    .code = "deadline_exceeded",
    .status = 504,
    .text = "the worker did not answer in time",
};
static const struct call_failure going_down = {
    .code = "unavailable",
    .status = 503,
    .retry_after_s = RETRY_AFTER_S,
    .text = "nodey is shutting down",
};

/* --------------------------------------------------------------------- queue */

static bool serving(const struct pool *pool)
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
static bool is_down(const struct pool *pool)
{
    if (serving(pool))
        return false;
    for (size_t i = 0; i < pool->config->instances; i++)
        if (pool->instances[i].current && !is_hopeless(pool, &pool->instances[i]))
            return false;
    return true;
}

static void enter_queue(struct pool *pool, struct call *c, bool at_head)
{
    struct list *queue = c->kind == CALL_ASK ? &pool->asks : &pool->requests;
    if (at_head)
        list_push(queue, &c->node);
    else
        list_add(queue, &c->node);
    if (c->kind == CALL_REQUEST) {
        pool->waiting++;
        pool->waiting_bytes += c->size;
    }
}

void pool_left_queue(struct pool *pool, struct call *c)
{
    if (c->kind == CALL_REQUEST) {
        pool->waiting--;
        pool->waiting_bytes -= c->size;
    }
}

static void on_timeout(struct timer *timer)
{
    struct call *c = container_of(timer, struct call, timer);
    struct slot *slot = c->slot;
    if (!slot) {
        call_fail(c, &waited_too_long);
        return;
    }
    struct worker *w = slot->worker;
    bool begun = slot_started(slot);
    slot_abandon(slot, "timeout");
    call_fail(c, &too_slow);
    if (begun)
        worker_overdue(w);
}

void pool_requeue(struct pool *pool, struct call *c)
{
    c->moves++;
    enter_queue(pool, c, /* at_head= */ true);
}

/* ------------------------------------------------------------------ dispatch */

static void give(struct pool *pool, struct worker *w, struct call *c, bool nested)
{
    struct loop *loop = pool->pools->loop;
    uint64_t now = loop_now(loop);
    list_del(&c->node);
    pool_left_queue(pool, c);
    timer_start(loop, &c->timer, c->deadline_ms > now ? c->deadline_ms - now : 1, on_timeout);
    worker_give(w, c, nested);
}

/* The least loaded instance that has room. */
static struct worker *pick_free(struct pool *pool)
{
    struct worker *best = NULL;
    struct balance_load best_load = {0};
    list_each (at, &pool->states[WORKER_READY]) {
        struct worker *w = container_of(at, struct worker, node);
        struct balance_load load = {w->slot_count, (unsigned)w->ready.concurrency};
        if (worker_has_room(w) && (!best || balance_less(&load, &best_load))) {
            best = w;
            best_load = load;
        }
    }
    return best;
}

/* The busy instance in whose pipe most may still wait. */
static struct worker *pick_ahead(struct pool *pool)
{
    struct worker *best = NULL;
    unsigned most = 0;
    list_each (at, &pool->states[WORKER_BUSY]) {
        struct worker *w = container_of(at, struct worker, node);
        unsigned ahead = worker_ahead(w);
        if (ahead > most) {
            best = w;
            most = ahead;
        }
    }
    return best;
}

static struct worker *pick_nested(struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
        list_each (at, &pool->states[state]) {
            struct worker *w = container_of(at, struct worker, node);
            if (worker_waits_in_ask(w))
                return w;
        }
    return NULL;
}

/* False when no instance can take an ask now. */
static bool dispatch_ask(struct pool *pool)
{
    struct call *c = list_first(&pool->asks, struct call, node);
    struct worker *w = pick_free(pool);
    bool nested = !w && (w = pick_nested(pool));
    if (!w)
        w = pick_ahead(pool);
    if (!w)
        return false;
    give(pool, w, c, nested);
    return true;
}

static bool dispatch_request(struct pool *pool)
{
    struct worker *w = pick_free(pool);
    if (!w)
        w = pick_ahead(pool);
    if (!w)
        return false;
    give(pool, w, list_first(&pool->requests, struct call, node), /* nested= */ false);
    return true;
}

void pool_dispatch(struct pool *pool)
{
    while (!list_empty(&pool->asks) && dispatch_ask(pool))
        continue;
    while (!list_empty(&pool->requests) && list_empty(&pool->asks) && dispatch_request(pool))
        continue;
}

/* A queue that is full because it may hold nothing is no reason to refuse. */
static bool takes_at_once(struct pool *pool)
{
    return pool->waiting == 0 && list_empty(&pool->asks) &&
           (pick_free(pool) || pick_ahead(pool));
}

const struct call_failure *pool_submit(struct pool *pool, struct call *c, uint64_t timeout_ms)
{
    const struct worker_config *config = pool->config;
    if (pool->pools->stopping)
        return &going_down;
    if (is_down(pool)) {
        pool->refusal = no_instance(pool);
        return &pool->refusal;
    }
    bool full = pool->waiting >= config->queue || pool->waiting_bytes + c->size > QUEUE_BYTES;
    if (c->kind == CALL_REQUEST && full && !takes_at_once(pool))
        return &queue_full;
    uint64_t timeout = timeout_ms ? timeout_ms : config->timeout;
    pool->retry_budget = MIN(pool->retry_budget + RETRY_SHARE, RETRY_BURST);
    c->pool = pool;
    c->deadline_ms = loop_now(pool->pools->loop) + timeout;
    timer_start(pool->pools->loop, &c->timer, MIN(timeout, config->queue_timeout), on_timeout);
    enter_queue(pool, c, /* at_head= */ false);
    pool_dispatch(pool);
    return NULL;
}

/* ---------------------------------------------------------------- lost calls */

static bool may_try_again(struct pool *pool, struct call *c, bool begun)
{
    if (pool->pools->stopping)
        return false;
    if (!begun)
        return c->moves < MOVES_MAX;
    if (!c->idempotent || c->starts > 1 || pool->retry_budget < 1)
        return false;
    pool->retry_budget -= 1;
    return true;
}

void pool_call_lost(struct worker *w, struct call *c, bool begun, const char *how)
{
    c->starts += begun;
    if (may_try_again(w->pool, c, begun)) {
        pool_requeue(w->pool, c);
        return;
    }
    char text[384];
    snprintf(text, sizeof(text), "worker %s ended while it handled this: %s", w->name, how);
    call_fail(c, &(struct call_failure){.code = "internal", .status = 502, .text = text});
}

static void fail_waiting(struct pool *pool, const struct call_failure *failure)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &pool->asks);
    list_splice(&all, &pool->requests);
    while (!list_empty(&all))
        call_fail(list_first(&all, struct call, node), failure);
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
static void fill(struct pool *pool)
{
    for (unsigned i = 0; i < pool->config->instances; i++)
        if (!pool->instances[i].current && !pool->pools->stopping)
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
    snprintf(pool->trouble, sizeof(pool->trouble), "worker %s does not start: %.180s",
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
    const char *cause = cause_of(w, how);
    const char *extra = cause == how ? "" : how;
    note_trouble(pool, w, how);
    if (verdict.failed)
        pool_tell(pool, w, LOG_ERROR,
                  "failed: %u crashes in a row without becoming ready (%s); next try in %llu s",
                  instance->restart.unready, cause,
                  (unsigned long long)verdict.delay_ms / 1000);
    else
        pool_tell(pool, w, LOG_ERROR, "%s%s%s; restarting in %llu ms", cause,
                  *extra ? ": " : "", extra, (unsigned long long)verdict.delay_ms);
    return worker_new(pool, w->instance, verdict.delay_ms, verdict.failed);
}

void pool_worker_ended(struct worker *w, const char *how, bool was_draining)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    /* One that died just before it was told to drain has a successor as well. */
    bool replaced = instance->current != w && instance->next != w;
    if (pool->pools->stopping || was_draining || replaced) {
        if (instance->current == w)
            instance->current = NULL;
        if (instance->next == w)
            instance->next = NULL;
        pool_tell(pool, w, LOG_DEBUG, "ended (%s)", how);
        pool_dispatch(pool); /* what it had not begun has come back */
        return;
    }
    if (instance->next == w) {
        instance->next = after_crash(w, how);
    } else if (instance->next) { /* its successor is on the way already */
        pool_tell(pool, w, LOG_WARN, "%s before its replacement was ready", how);
        instance->current = instance->next;
        instance->next = NULL;
    } else {
        instance->current = after_crash(w, how);
    }
    if (is_hopeless(pool, instance))
        settle(pool);
    if (is_down(pool)) {
        struct call_failure failure = no_instance(pool);
        fail_waiting(pool, &failure);
    }
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
    pool->was_ready = true;
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
    fill(pool);
    settle(pool);
    pool_dispatch(pool);
}

void pool_replace_now(struct worker *w)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current == w && !pool->pools->stopping) {
        instance->current =
            instance->next ? instance->next : worker_new(pool, w->instance, 0, false);
        instance->next = NULL;
    }
    worker_drain(w, 0, w->cause);
    pool_dispatch(pool);
}

void pool_replace_later(struct worker *w, const char *why)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current != w || instance->next || pool->pools->stopping)
        return;
    pool_tell(pool, w, LOG_DEBUG, "is to be replaced: %s", why);
    instance->next = worker_new(pool, w->instance, 0, false);
}

/* --------------------------------------------------------------------- pools */

static void on_stopped(struct task *task)
{
    struct pools *pools = container_of(task, struct pools, stopped);
    pools->observer->stopped(pools->observer);
}

void pools_init(struct pools *pools, struct loop *loop, struct pool_observer *observer)
{
    *pools = (struct pools){.loop = loop, .observer = observer};
    list_init(&pools->list);
    list_init(&pools->lost_asks);
    task_init(&pools->stopped, on_stopped);
}

struct pool *pool_new(struct pools *pools, const struct worker_config *config)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pool->pools = pools;
    pool->config = config;
    pool->retry_budget = RETRY_BURST;
    pool->policy = (struct restart_policy){
        .backoff_min_ms = config->backoff_min,
        .backoff_max_ms = config->backoff_max,
        .backoff_reset_ms = config->backoff_reset,
        .max_restarts = config->max_restarts,
        .failed_retry_ms = config->failed_retry,
    };
    pool->instances = xcalloc(config->instances, sizeof(*pool->instances));
    for (int i = 0; i < WORKER_STATES; i++)
        list_init(&pool->states[i]);
    list_init(&pool->asks);
    list_init(&pool->requests);
    list_add(&pools->list, &pool->node);
    return pool;
}

void pool_start(struct pool *pool)
{
    pool->instances[0].current = worker_new(pool, 0, 0, false);
}

struct pool *pools_find(struct pools *pools, struct slice name)
{
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (slice_is(name, pool->config->name))
            return pool;
    }
    return NULL;
}

const struct ready *pool_declaration(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        if (!list_empty(&pool->states[state]))
            return &list_first(&pool->states[state], struct worker, node)->ready;
    return NULL;
}

bool pools_settled(const struct pools *pools)
{
    list_each (at, &pools->list)
        if (!container_of(at, struct pool, node)->settled)
            return false;
    return true;
}

/* Calls for each worker of a pool; it may leave its list meanwhile. */
static void each_worker(struct pool *pool, void (*visit)(struct worker *, uint64_t),
                        uint64_t arg)
{
    for (int state = 0; state < WORKER_STOPPED; state++)
        list_each_safe (at, &pool->states[state])
            visit(container_of(at, struct worker, node), arg);
}

static void drain_worker(struct worker *w, uint64_t limit_ms)
{
    if (w->state != WORKER_DRAINING)
        worker_drain(w, limit_ms, "nodey is shutting down");
}

static void kill_worker(struct worker *w, uint64_t unused)
{
    (void)unused;
    if (!w->spawned)
        worker_stopped(w, "nodey is shutting down");
    else
        worker_kill(w, "nodey is shutting down");
}

static void stop_all(struct pools *pools, void (*visit)(struct worker *, uint64_t),
                     uint64_t limit_ms)
{
    pools->stopping = true;
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        fail_waiting(pool, &going_down);
        each_worker(pool, visit, limit_ms);
    }
    if (pools->lives == 0)
        loop_defer(pools->loop, &pools->stopped);
}

void pools_stop(struct pools *pools, uint64_t limit_ms)
{
    stop_all(pools, drain_worker, limit_ms);
}

void pools_kill(struct pools *pools)
{
    stop_all(pools, kill_worker, 0);
}

void pool_worker_freed(struct pools *pools)
{
    if (--pools->lives == 0 && pools->stopping)
        loop_defer(pools->loop, &pools->stopped);
}

void pools_deinit(struct pools *pools)
{
    assert(pools->lives == 0);
    list_each_safe (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        list_del(&pool->node);
        xfree(pool->instances);
        xfree(pool);
    }
    ask_deinit(pools);
}
