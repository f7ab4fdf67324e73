/*
 * The calls of a pool: the part of pool.h that queues them, gives them to workers and
 * decides what becomes of those that a worker could not finish.
 */
#include <stdio.h>

#include "pool/balance.h"
#include "pool/blame.h"
#include "pool/pool.h"

enum {
    QUEUE_BYTES = 32 << 20, /* of waiting requests, in one pool */
    MOVES_MAX = 10,         /* times a call that was never started may go back */
    RETRY_AFTER_S = 1,
};

static const double RETRY_SHARE = 0.1; /* of the calls may be second tries */

/* ------------------------------------------------------------------ failures */

static struct call_failure no_instance(const struct pool *pool)
{
    static const char down[] = "the program does not start";
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
static const struct call_failure takes_no_calls = {
    .code = "unimplemented",
    .status = 501,
    .text = "this is a service: it speaks no protocol, and is asked at its port",
};
static const struct call_failure going_down = {
    .code = "unavailable",
    .status = 503,
    .retry_after_s = RETRY_AFTER_S,
    .text = "nodey is shutting down",
};

/* --------------------------------------------------------------------- queue */

static void enter_queue(struct pool *pool, struct call *c, bool at_head)
{
    struct list *queue = c->kind == CALL_ASK ? &pool->asks : &pool->requests;
    if (at_head) {
        list_push(queue, &c->node);
    } else {
        list_add(queue, &c->node);
        c->queued_ms = loop_now(pool->pools->loop);
    }
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
    const struct call_failure *unfit = c->ops->unfit ? c->ops->unfit(c, w) : NULL;
    if (!unfit)
        unfit = blame_refuses(pool, c);
    if (unfit) {
        call_fail(c, unfit);
        return;
    }
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
    struct call *c = list_first(&pool->requests, struct call, node);
    struct worker *w = pick_free(pool);
    if (!w && !c->streams) /* what has more to say wants a listener */
        w = pick_ahead(pool);
    if (!w)
        return false;
    give(pool, w, c, /* nested= */ false);
    return true;
}

static void tell_of_room(struct pool *pool)
{
    struct pool_observer *observer = pool->pools->observer;
    if (observer->room)
        observer->room(observer, pool);
}

void pool_dispatch(struct pool *pool)
{
    while (!list_empty(&pool->asks) && dispatch_ask(pool))
        continue;
    while (!list_empty(&pool->requests) && list_empty(&pool->asks) && dispatch_request(pool))
        continue;
    if (pool->leaving)
        pool_check_leaving(pool);
    if (pool->takes_events)
        tell_of_room(pool);
    scale_wake(pool);
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
    if (config->is_service)
        return &takes_no_calls;
    if (pool_is_down(pool)) {
        pool->refusal = no_instance(pool);
        return &pool->refusal;
    }
    const struct call_failure *refused = blame_refuses(pool, c);
    if (refused)
        return refused;
    bool full = pool->waiting >= config->queue || pool->waiting_bytes + c->size > QUEUE_BYTES;
    if (c->kind == CALL_REQUEST && full && !takes_at_once(pool))
        return &queue_full;
    uint64_t timeout = timeout_ms ? timeout_ms : config->timeout;
    pool->retry_budget = MIN(pool->retry_budget + RETRY_SHARE, POOL_RETRY_BURST);
    c->pool = pool;
    c->timeout_ms = timeout;
    c->deadline_ms = loop_now(pool->pools->loop) + timeout;
    timer_start(pool->pools->loop, &c->timer, MIN(timeout, config->queue_timeout), on_timeout);
    enter_queue(pool, c, /* at_head= */ false);
    pool_dispatch(pool);
    return NULL;
}

/* ---------------------------------------------------------------- lost calls */

static bool may_try_again(struct pool *pool, struct call *c, bool begun)
{
    if (pool->pools->stopping || c->answering || c->fixed)
        return false;
    if (!begun)
        return c->moves < MOVES_MAX;
    if (!c->idempotent || c->starts > 1 || pool->retry_budget < 1)
        return false;
    pool->retry_budget -= 1;
    return true;
}

/* The bus decides: it only wants to know what is known. */
static void event_lost(const struct worker *w, struct call *c, bool begun, const char *how)
{
    char text[384];
    snprintf(text, sizeof(text), "worker %s ended while it handled this: %s", w->name, how);
    call_fail(c, &(struct call_failure){.code = "internal",
                                        .status = 502,
                                        .text = text,
                                        .incident = w->incident,
                                        .ended = true,
                                        .begun = begun,
                                        .planned =
                                            w->end == END_PLANNED || w->pool->pools->stopping});
}

void pool_call_lost(struct worker *w, struct call *c, bool begun, const char *how)
{
    if (c->kind == CALL_EVENT) {
        event_lost(w, c, begun, how);
        return;
    }
    c->starts += begun;
    if (begun) /* that was no waiting */
        c->queued_ms = loop_now(w->pool->pools->loop);
    /* What froze this process may freeze the next. */
    bool froze = w->end == END_FROZEN || w->end == END_STUCK;
    if (!(begun && (froze || blame_refuses(w->pool, c))) && may_try_again(w->pool, c, begun)) {
        pool_requeue(w->pool, c);
        return;
    }
    char text[384];
    snprintf(text, sizeof(text), "worker %s ended while it handled this: %s", w->name, how);
    call_fail(c, &(struct call_failure){
                     .code = "internal", .status = 502, .text = text, .incident = w->incident});
}

static void fail_all(struct pool *pool, const struct call_failure *failure)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &pool->asks);
    list_splice(&all, &pool->requests);
    while (!list_empty(&all))
        call_fail(list_first(&all, struct call, node), failure);
}

void pool_fail_waiting(struct pool *pool)
{
    struct call_failure failure = pool->pools->stopping ? going_down : no_instance(pool);
    fail_all(pool, &failure);
}
