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
#include "pool/ask.h"
#include "pool/pool.h"

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
    for (size_t i = 0; i < pool->config->instances; i++) {
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
    for (size_t i = 0; i < pool->config->instances; i++) {
        const struct instance *instance = &pool->instances[i];
        struct worker *w = instance->next ? instance->next : instance->current;
        if (w && w->standby)
            worker_enter(w);
    }
}

/* One that has never served owes nobody anything: it does not linger. */
static void discard(struct worker *w, const char *why)
{
    if (!w->spawned)
        worker_stopped(w, why);
    else
        worker_kill(w, why);
}

static void drop_next(struct instance *instance, const char *why)
{
    struct worker *next = instance->next;
    instance->next = NULL;
    if (next)
        discard(next, why);
}

static void begin_next(struct pool *pool, unsigned i)
{
    struct instance *instance = &pool->instances[i];
    drop_next(instance, "a newer version is there");
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
    for (unsigned i = 0; i < pool->config->instances; i++)
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
    for (size_t i = 0; i < pool->config->instances; i++)
        drop_next(&pool->instances[i], "its version does not start");
    enter(pool); /* of an earlier renewal, that this one overtook */
    pool_tell(pool, w, LOG_ERROR,
              "the new version does not start (%s): the old one goes on until it is mended",
              how);
    return true;
}

/* Nothing serves: no reason to wait for anything. */
static void start_anew(struct pool *pool)
{
    for (size_t i = 0; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        struct worker *old = instance->current;
        drop_next(instance, "a newer version is there");
        instance->restart = (struct restart){0};
        instance->current = i == 0 ? worker_new(pool, 0, 0, /* failed= */ false) : NULL;
        if (old)
            discard(old, "a newer version is there");
    }
}

static unsigned pilot_of(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->config->instances; i++)
        if (pool->instances[i].current && pool->instances[i].current->ready_ms)
            return i;
    return 0;
}

void pool_renew(struct pool *pool, const char *why)
{
    if (pool->pools->stopping || pool->leaving)
        return;
    pool_tell(pool, NULL, LOG_INFO, "%s: %s", why,
              pool_serves(pool) ? "reloading" : "starting it again");
    pool->generation++;
    pool->proven = false;
    pool->renewing = pool_serves(pool);
    if (pool->renewing)
        begin_next(pool, pilot_of(pool));
    else
        start_anew(pool);
}

/* -------------------------------------------------------------- configuring */

/* Places beyond the configured number are given up. */
static void shrink(struct pool *pool)
{
    for (size_t i = pool->config->instances; i < pool->places; i++) {
        struct instance *instance = &pool->instances[i];
        struct worker *old = instance->current;
        drop_next(instance, "fewer instances are configured");
        instance->current = NULL;
        if (old)
            worker_drain(old, pool->config->timeout, "fewer instances are configured");
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

void pool_configure(struct pool *pool, const struct worker_config *config)
{
    pool->config = config;
    pool->policy = (struct restart_policy){
        .backoff_min_ms = config->backoff_min,
        .backoff_max_ms = config->backoff_max,
        .backoff_reset_ms = config->backoff_reset,
        .max_restarts = config->max_restarts,
        .failed_retry_ms = config->failed_retry,
    };
    add_places(pool, config->instances);
    shrink(pool);
    if (pool_serves(pool))
        pool_fill(pool);
    pool_check_renewal(pool);
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
