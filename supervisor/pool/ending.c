/*
 * What follows the end of a process, or makes place for another: the part of pool.h that
 * restarts and replaces.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool/event.h"
#include "pool/order.h"
#include "pool/pool.h"
#include "pool/rest.h"

enum {
    LIFE_MIN_MS = 1000, /* of what is replaced by plan */
    FLAPS_MAX = 5,      /* ends of what was ready, within FLAP_SPAN_MS */
    FLAP_SPAN_MS = 60000,
};

static const char *cause_of(const struct worker *w, const char *how)
{
    return w->cause[0] ? w->cause : how;
}

/* For how long it had been ready; 0: never. */
static uint64_t ready_for(const struct worker *w)
{
    return w->ready_ms ? loop_now(w->pool->pools->loop) - w->ready_ms + 1 : 0;
}

static void note_crash(struct pool *pool, const struct worker *w, const char *how)
{
    if (!ready_for(w))
        pool_note_trouble(pool, "does not start: %.511s",
                          w->cause[0]        ? w->cause
                          : w->last_words[0] ? w->last_words
                                             : how);
}

static enum restart_cause cause_for(const struct worker *w)
{
    if (w->end != END_ITSELF || !w->proc.pid || !w->proc.reaped || w->proc.exit.signal)
        return RESTART_FAILED;
    return w->proc.exit.code == 0                      ? RESTART_WELL
           : w->proc.exit.code == RESTART_NEVER_STATUS ? RESTART_REFUSED
                                                       : RESTART_FAILED;
}

bool pool_is_flapping(const struct pool *pool)
{
    return pool->flapping && loop_now(pool->pools->loop) - pool->flap_ms < FLAP_SPAN_MS;
}

/* It has done what it was there for: its not having been ready is no failure. */
static bool has_completed(const struct worker *w)
{
    uint32_t when = w->pool->policy.when.when;
    return cause_for(w) == RESTART_WELL && (when == RESTART_NO || when == RESTART_ON_FAILURE);
}

/* What is well for some seconds at a time, for ever, is no crash loop, but no peace either. */
static void watch_flapping(struct worker *w)
{
    struct pool *pool = w->pool;
    uint64_t now = loop_now(pool->pools->loop);
    if (!ready_for(w))
        return;
    if (!pool_is_flapping(pool))
        pool->flapping = false;
    pool->flap_ms = now;
    if (!window_over(&pool->flaps, FLAPS_MAX - 1, FLAP_SPAN_MS, now) || pool->flapping)
        return;
    pool->flapping = true;
    pool_tell(pool, NULL, LOG_ERROR,
              "flapping: it has become ready and ended again %d times within %d s", FLAPS_MAX,
              FLAP_SPAN_MS / 1000);
}

/* Whether it is started again; else its place has ended.  All that counts ends is here. */
static bool starts_again(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    enum restart_cause cause = cause_for(w);
    watch_flapping(w);
    if (restart_applies(&instance->restart, &pool->policy, cause, ready_for(w))) {
        pool->restarts++;
        return true;
    }
    if (cause == RESTART_WELL)
        pool_tell(pool, w, LOG_INFO, "has done its work: %s", how);
    else if (cause == RESTART_REFUSED)
        pool_tell(pool, w, LOG_ERROR,
                  "%s, which says that it must not be started again: it is not", how);
    else if (instance->restart.tries)
        pool_tell(pool, w, LOG_ERROR,
                  "%s after %u restarts, and restart = \"on-failure:%u\" allows no more",
                  cause_of(w, how), instance->restart.tries, pool->policy.when.most);
    else
        pool_tell(pool, w, LOG_ERROR, "%s; it is not started again: restart = \"no\"",
                  cause_of(w, how));
    return false;
}

/* The next life of an instance that crashed. */
static struct worker *after_crash(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct restart *restart = &pool->instances[w->instance].restart;
    struct restart_verdict verdict =
        restart_after_crash(restart, &pool->policy, ready_for(w), arc4random());
    const char *cause = w->explained ? how : cause_of(w, how);
    const char *extra = cause == how ? "" : how;
    char when[40] = "now";
    if (verdict.delay_ms)
        snprintf(when, sizeof(when), "in %llu ms", (unsigned long long)verdict.delay_ms);
    note_crash(pool, w, how);
    if (verdict.failed)
        pool_tell(pool, w, LOG_ERROR,
                  "failed: %u crashes in a row without becoming ready (%s); next try in %llu s",
                  restart->unready, cause, (unsigned long long)verdict.delay_ms / 1000);
    else /* what it said of itself needs no repetition */
        pool_tell(pool, w, w->explained && restart->unready > 1 ? LOG_DEBUG : LOG_ERROR,
                  "%s%s%s; restarting %s", cause, *extra ? ": " : "", extra, when);
    return worker_new(pool, w->instance, verdict.delay_ms, verdict.failed);
}

/* Does a process run there, be it one that is about to end? */
static bool place_is_taken(const struct pool *pool, unsigned place)
{
    for (int state = WORKER_STARTING; state <= WORKER_DRAINING; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->instance == place)
                return true;
    return false;
}

static void begin_again(struct pool *pool, unsigned place)
{
    struct instance *instance = &pool->instances[place];
    if (place_is_taken(pool, place))
        return;
    instance->again = false;
    if (!instance->current && place < pool->wanted && pool_may_start(pool))
        instance->current = worker_new(pool, place, instance->pause_ms, /* failed= */ false);
}

/* It was told to end, or another has taken over: nothing follows, but what waited for that. */
static void ended_as_told(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current == w)
        instance->current = NULL;
    if (instance->next == w)
        instance->next = NULL;
    pool_tell(pool, w, LOG_DEBUG, "ended (%s)", how);
    if (instance->again)
        begin_again(pool, w->instance);
    else if (instance->ended && !instance->current)
        rest_place_ended(pool, instance, /* well= */ false, cause_of(w, how));
}

static void crashed(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    struct pool_observer *observer = pool->pools->observer;
    bool is_next = instance->next == w;
    if (!w->ready_ms && !has_completed(w))
        observer->failed(observer, pool, w);
    if (pool_renewal_failed(w, cause_of(w, how)))
        return;
    if (!is_next && instance->next) { /* its successor is on the way already */
        pool_tell(pool, w, LOG_WARN, "%s before its replacement was ready", how);
        instance->current = instance->next;
        instance->next = NULL;
    } else {
        struct worker *after = starts_again(w, how) ? after_crash(w, how) : NULL;
        if (is_next)
            instance->next = after;
        else
            instance->current = after;
        if (!after && !instance->current)
            rest_place_ended(pool, instance, cause_for(w) == RESTART_WELL, cause_of(w, how));
    }
    if (is_next)
        pool_renewal_incomplete(pool);
    if (w->overdue || pool_is_hopeless(pool, instance))
        pool_settle(pool);
    pool_check_renewal(pool);
}

void pool_worker_ended(struct worker *w, const char *how, bool was_draining)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    event_forget(w);
    /* One that died just before it was told to drain has a successor as well. */
    bool replaced = instance->current != w && instance->next != w;
    if (w->spawned && w->proc.pid) {
        pool->last_exit = w->proc.exit;
        pool->has_ended = true;
    }
    if (pool->pools->stopping || pool->leaving || was_draining || replaced)
        ended_as_told(w, how);
    else
        crashed(w, how);
    rest_process_ended(pool);
    if (pool_is_down(pool))
        pool_fail_waiting(pool);
    pool_dispatch(pool); /* what it had not begun has come back */
    order_changed(pool->pools);
}

/* ------------------------------------------------------------------- a successor */

/* The place is empty from now on; what follows begins when this one has gone. */
static void follow(struct instance *instance, uint64_t pause_ms)
{
    instance->current = NULL;
    instance->again = true;
    instance->pause_ms = pause_ms;
}

/* It is given up: another takes its place, if its restart policy lets it. */
static void succeed(struct worker *w)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    struct worker *next = instance->next;
    instance->next = NULL;
    if (next) {
        instance->current = next;
    } else if (!starts_again(w, w->cause)) {
        instance->current = NULL;
        instance->ended = true; /* and the pool may be over when its process is */
        pool_note_trouble(pool, "is not to be started again (%.400s)", w->cause);
    } else if (pool_overlaps(pool)) {
        instance->current = worker_new(pool, w->instance, 0, false);
    } else {
        follow(instance, 0);
    }
}

void pool_replace_now(struct worker *w)
{
    struct pool *pool = w->pool;
    if (pool->instances[w->instance].current == w && pool_may_start(pool))
        succeed(w);
    worker_drain(w, 0, w->cause);
    pool_check_renewal(pool);
    pool_dispatch(pool);
}

void pool_restart_place(struct pool *pool, unsigned place, const char *why)
{
    struct instance *instance = &pool->instances[place];
    struct worker *old = instance->current;
    pool_drop_next(instance, why);
    instance->restart = (struct restart){0};
    instance->ended = false;
    follow(instance, 0);
    if (old)
        worker_drain(old, pool->config->timeout, why);
    if (instance->again)
        begin_again(pool, place);
}

void pool_replace_later(struct worker *w, const char *why)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    if (instance->current != w || instance->next || !pool_may_start(pool))
        return;
    pool_tell(pool, w, LOG_DEBUG, "is to be replaced: %s", why);
    /* A worker that asks for it as soon as it is ready must not become a fork bomb. */
    uint64_t up = loop_now(pool->pools->loop) - w->ready_ms;
    uint64_t pause = up < LIFE_MIN_MS ? LIFE_MIN_MS - up : 0;
    if (w->generation != pool->generation && !pool->renewing) /* the new version is broken */
        pause = pool->config->failed_retry;
    if (pool_overlaps(pool)) {
        instance->next = worker_new(pool, w->instance, pause, /* failed= */ false);
        return;
    }
    follow(instance, pause);
    worker_drain(w, pool->config->timeout, why);
}
