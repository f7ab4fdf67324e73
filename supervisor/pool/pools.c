/*
 * All pools of a loop together: the part of pool.h that begins with pools_.
 */
#include <assert.h>

#include "pool/ask.h"
#include "pool/order.h"
#include "pool/pool.h"

static void on_stopped(struct task *task)
{
    struct pools *pools = container_of(task, struct pools, stopped);
    timer_stop(pools->loop, &pools->hurry);
    pools->observer->stopped(pools->observer);
}

void pools_init(struct pools *pools, struct loop *loop, struct pool_observer *observer)
{
    *pools = (struct pools){.loop = loop, .observer = observer};
    list_init(&pools->list);
    list_init(&pools->lost_asks);
    task_init(&pools->stopped, on_stopped);
    order_init(pools);
    startgate_init(&pools->startgate);
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

void pools_start(struct pools *pools)
{
    list_each (at, &pools->list)
        if (!container_of(at, struct pool, node)->begun) /* by whatever needs it */
            pool_start(container_of(at, struct pool, node));
}

/* ---------------------------------------------------------------------- stopping */

static void kill_worker(struct worker *w, uint64_t unused)
{
    (void)unused;
    w->end = w->end == END_ITSELF ? END_PLANNED : w->end;
    if (!w->spawned) {
        worker_stopped(w, "nodey is shutting down");
    } else {
        if (worker_alive(w))
            pool_tell(w->pool, w, LOG_WARN,
                      "did not end within the time that was left: killed");
        worker_kill(w, "nodey is shutting down");
    }
}

static void begin_stop(struct pools *pools)
{
    pools->stopping = true;
    list_each (at, &pools->list)
        pool_fail_waiting(container_of(at, struct pool, node));
}

static void end_stop(struct pools *pools)
{
    ask_retry_lost(pools);
    if (pools->lives == 0)
        loop_defer(pools->loop, &pools->stopped);
}

/* Those that are depended on have waited for long enough. */
static void on_hurry(struct timer *timer)
{
    order_stop(container_of(timer, struct pools, hurry));
}

void pools_stop(struct pools *pools, uint64_t limit_ms)
{
    begin_stop(pools);
    pools->stop_at_ms = loop_now(pools->loop) + limit_ms;
    order_stop(pools);
    timer_start(pools->loop, &pools->hurry, limit_ms, on_hurry);
    end_stop(pools);
}

void pools_kill(struct pools *pools)
{
    begin_stop(pools);
    list_each (at, &pools->list)
        pool_each_worker(container_of(at, struct pool, node), kill_worker, 0);
    end_stop(pools);
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
    task_cancel(&pools->order);
    startgate_deinit(&pools->startgate);
    list_each_safe (at, &pools->list)
        pool_free(container_of(at, struct pool, node));
    xfree(pools->told);
    ask_deinit(pools);
}
