/*
 * All pools of a loop together: the part of pool.h that begins with pools_.
 */
#include <assert.h>

#include "pool/ask.h"
#include "pool/pool.h"

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

struct pool *pools_find(struct pools *pools, struct slice name)
{
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (!pool->leaving && slice_is(name, pool->config->name))
            return pool;
    }
    return NULL;
}

bool pools_settled(const struct pools *pools)
{
    list_each (at, &pools->list)
        if (!container_of(at, struct pool, node)->settled &&
            !container_of(at, struct pool, node)->leaving)
            return false;
    return true;
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
        pool_fail_waiting(pool);
        pool_each_worker(pool, visit, limit_ms);
    }
    ask_retry_lost(pools);
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

void pool_worker_freed(struct pool *pool)
{
    struct pools *pools = pool->pools;
    if (--pool->lives == 0 && pool->leaving)
        loop_defer(pools->loop, &pool->gone);
    if (--pools->lives == 0 && pools->stopping)
        loop_defer(pools->loop, &pools->stopped);
}

void pools_deinit(struct pools *pools)
{
    assert(pools->lives == 0);
    list_each_safe (at, &pools->list)
        pool_free(container_of(at, struct pool, node));
    xfree(pools->told);
    ask_deinit(pools);
}
