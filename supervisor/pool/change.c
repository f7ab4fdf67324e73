/*
 * The changes of a pool while it runs: the part of pool.h that configures, renews and
 * removes it.
 *
 * A renewal goes: generation N serves; one process of N+1, the pilot, is started as the
 * `next` of an instance.  When it is ready it stands by, and the other instances get
 * their `next`; when all stand by, they enter and N drains.  If the pilot ends before
 * that, the new version is broken: N goes on.  If another one does, those that are ready
 * enter, and the rest is an ordinary crash.
 */
#include <stdio.h>

#include "pool/ask.h"
#include "pool/limits.h"
#include "pool/pool.h"
#include "pool/rest.h"

/* ----------------------------------------------------------------- renewing */

/* Who is to serve in this place once the renewal is complete; NULL: not begun. */
static struct worker *successor(const struct pool *pool, size_t i)
{
    const struct instance *instance = &pool->instances[i];
    struct worker *w = instance->next ? instance->next : instance->current;
    return w && w->generation == pool->generation ? w : NULL;
}

static bool old_serves(const struct pool *pool)
{
    for (int state = WORKER_READY; state <= WORKER_UNHEALTHY; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->generation != pool->generation)
                return true;
    return false;
}

bool pool_holds_back(const struct worker *w)
{
    const struct pool *pool = w->pool;
    return pool->renewing && w->generation == pool->generation && old_serves(pool);
}

static bool all_stand_by(const struct pool *pool)
{
    for (size_t i = 0; i < pool->wanted; i++) {
        const struct worker *w = successor(pool, i);
        if (!w || !w->standby)
            return false;
    }
    return true;
}

/* Those that are ready take over. */
static void enter(struct pool *pool)
{
    pool->renewing = false;
    for (size_t i = 0; i < pool->wanted; i++) {
        const struct instance *instance = &pool->instances[i];
        struct worker *w = instance->next ? instance->next : instance->current;
        if (w && w->standby)
            worker_enter(w);
    }
}

/* One that has never served owes nobody anything: it does not linger. */
static void discard(struct worker *w, const char *why)
{
    w->end = w->end == END_ITSELF ? END_PLANNED : w->end;
    if (!w->spawned)
        worker_stopped(w, why);
    else
        worker_kill(w, why);
}

void pool_drop_next(struct instance *instance, const char *why)
{
    struct worker *next = instance->next;
    instance->next = NULL;
    if (next)
        discard(next, why);
}

static void begin_next(struct pool *pool, unsigned i)
{
    struct instance *instance = &pool->instances[i];
    pool_drop_next(instance, "a newer version is there");
    struct worker *w = worker_new(pool, i, 0, /* failed= */ false);
    if (instance->current)
        instance->next = w;
    else
        instance->current = w;
}

void pool_standby(struct worker *w)
{
    struct pool *pool = w->pool;
    pool->proven = true;
    for (unsigned i = 0; i < pool->wanted; i++)
        if (!successor(pool, i))
            begin_next(pool, i);
    pool_check_renewal(pool);
}

void pool_check_renewal(struct pool *pool)
{
    if (pool->renewing && (!old_serves(pool) || all_stand_by(pool)))
        enter(pool);
}

void pool_renewal_incomplete(struct pool *pool)
{
    if (pool->renewing && pool->proven)
        enter(pool);
}

/*
 * True when it was the first of a new version, which then is broken.  Its processes
 * that are on the way are given up; a place whose old process is gone meanwhile keeps
 * trying by the rules for crashes.
 */
bool pool_renewal_failed(struct worker *w, const char *how)
{
    struct pool *pool = w->pool;
    struct instance *instance = &pool->instances[w->instance];
    bool is_next = instance->next == w && instance->current &&
                   instance->current->generation != w->generation;
    if (w->generation != pool->generation || pool->proven || !is_next)
        return false;
    instance->next = NULL;
    for (size_t i = 0; i < pool->wanted; i++)
        pool_drop_next(&pool->instances[i], "its version does not start");
    enter(pool); /* of an earlier renewal, that this one overtook */
    const char *words = w->cause[0] ? "" : w->last_words; /* else it has said why */
    const char *colon = *words ? ": " : "";
    snprintf(pool->stale, sizeof(pool->stale),
             "runs the version before: the new one does not start: %s%s%s", how, colon, words);
    pool_tell(pool, w, LOG_ERROR,
              "the new version does not start (%s%s%s): the old one goes on until it is mended",
              how, colon, words);
    pool_changed(pool);
    return true;
}

/* Nothing serves: no reason to wait for anything. */
static void start_anew(struct pool *pool)
{
    pool->renewing = false;
    for (size_t i = 0; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        struct worker *old = instance->current;
        pool_drop_next(instance, "a newer version is there");
        instance->restart = (struct restart){0};
        instance->ended = false;
        instance->current = i == 0 ? worker_new(pool, 0, 0, /* failed= */ false) : NULL;
        if (old)
            discard(old, "a newer version is there");
    }
}

/* What an earlier renewal has begun must not enter beside the versions of this one. */
static void drop_all_next(struct pool *pool)
{
    for (size_t i = 0; i < pool->places; i++)
        pool_drop_next(&pool->instances[i], "a newer version is there");
}

static unsigned pilot_of(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->wanted; i++)
        if (pool->instances[i].current && pool->instances[i].current->ready_ms)
            return i;
    return 0;
}

/* Two versions cannot run side by side: the old one ends before the new one starts. */
static void change_places(struct pool *pool, const char *why)
{
    for (unsigned i = 0; i < pool->wanted; i++)
        pool_restart_place(pool, i, why);
}

void pool_renew(struct pool *pool, const char *why)
{
    if (pool->pools->stopping || pool->leaving)
        return;
    pool->generation++;
    pool->renewed_life = pool->pools->next_life + 1;
    pool->proven = false;
    pool->stale[0] = '\0';
    scale_release(pool);
    if (pool->again || (pool->rest != POOL_RUNS && pool->rest != POOL_ENDED))
        return; /* it will be the new version that starts */
    pool_tell(pool, NULL, LOG_INFO, "%s: %s", why,
              pool_serves(pool) ? "reloading" : "starting it again");
    if (pool->rest == POOL_ENDED) {
        rest_begin(pool);
    } else if (!pool_overlaps(pool)) {
        change_places(pool, why);
    } else if (pool_serves(pool)) {
        drop_all_next(pool);
        pool->renewing = true;
        begin_next(pool, pilot_of(pool));
    } else {
        start_anew(pool);
    }
}

/* -------------------------------------------------------------- configuring */

/* Places beyond the wanted number are given up. */
static void shrink(struct pool *pool, const char *why)
{
    for (size_t i = pool->wanted; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        struct worker *old = instance->current;
        pool_drop_next(instance, why);
        instance->current = NULL;
        instance->again = instance->ended = false;
        if (old)
            worker_drain(old, pool->config->timeout, why);
    }
}

static void add_places(struct pool *pool, size_t count)
{
    if (count <= pool->places)
        return;
    pool->instances = xrealloc(pool->instances, count * sizeof(*pool->instances));
    for (size_t i = pool->places; i < count; i++)
        pool->instances[i] = (struct instance){0};
    pool->places = count;
}

void pool_set_wanted(struct pool *pool, size_t wanted, const char *why)
{
    if (wanted != pool->wanted)
        pool_changed(pool);
    pool->wanted = wanted;
    add_places(pool, wanted);
    shrink(pool, why);
    if (pool_serves(pool))
        pool_fill(pool);
    pool_check_renewal(pool);
}

static bool owns_port(const struct worker_config *config)
{
    return config->is_service && config->port && config->port != PORT_AUTO;
}

void pool_scale(struct pool *pool, size_t instances)
{
    if (pool->leaving || pool->pools->stopping)
        return;
    if (instances > 1 && owns_port(pool->config)) {
        pool_tell(pool, NULL, LOG_WARN,
                  "only one can listen on port %llu: port = \"auto\" allows several",
                  (unsigned long long)pool->config->port);
        instances = 1;
    }
    if (instances == 0)
        return;
    scale_fix(pool, instances);
    if (instances == pool->wanted)
        return;
    pool_tell(pool, NULL, LOG_INFO, "%zu instance%s instead of %zu", instances,
              instances == 1 ? "" : "s", pool->wanted);
    pool_set_wanted(pool, instances, "fewer instances are wanted");
}

/* A person's word holds until the configuration says something else. */
static size_t wanted_by(struct pool *pool, const struct worker_config *config)
{
    size_t least = (size_t)(config->instances_min ? config->instances_min : config->instances);
    bool same = pool->configured == least;
    pool->configured = least;
    if (!same || owns_port(config))
        return least;
    bool follows = config->instances_min && config->instances_min < config->instances;
    return follows ? MIN(MAX(pool->wanted, least), (size_t)config->instances) : pool->wanted;
}

void pool_configure(struct pool *pool, const struct worker_config *config)
{
    bool policy_changed = pool->policy.when.when != config->restart.when;
    pool->config = config;
    pool->policy = (struct restart_policy){
        .backoff_min_ms = config->backoff_min,
        .backoff_max_ms = config->backoff_max,
        .backoff_reset_ms = config->backoff_reset,
        .max_restarts = config->max_restarts,
        .failed_retry_ms = config->failed_retry,
        .when = config->restart,
    };
    pool_set_wanted(pool, wanted_by(pool, config), "fewer instances are configured");
    scale_release(pool);
    rest_configured(pool, policy_changed);
    limits_apply(pool);
}

/* ----------------------------------------------------------------- removing */

static void let_go(struct worker *w, uint64_t limit_ms)
{
    if (w->state != WORKER_DRAINING)
        worker_drain(w, limit_ms, "it was removed");
}

void pool_check_leaving(struct pool *pool)
{
    if (!list_empty(&pool->asks) || !list_empty(&pool->requests))
        return;
    pool_each_worker(pool, let_go, pool->config->timeout);
    if (pool->lives == 0)
        loop_defer(pool->pools->loop, &pool->gone);
}

void pool_remove(struct pool *pool, struct config *config)
{
    pool_tell(pool, NULL, LOG_INFO, "removed: it answers what it has, then ends");
    pool->leaving = true;
    pool->renewing = false;
    pool->held = config_hold(config);
    ask_tokens_changed(pool->pools);
    if (pool_is_down(pool))
        pool_fail_waiting(pool);
    pool_check_leaving(pool);
}
