#include "pool/startgate.h"

#include "os/usage.h"
#include "pool/pool.h"

enum { PER_CPU = 2, THOUSANDTHS = 1000 };

static struct startgate *gate_of(const struct worker *w)
{
    return &w->pool->pools->startgate;
}

static bool is_awaited(const struct pool *pool)
{
    list_each (at, &pool->pools->list) {
        const struct pool *other = container_of(at, struct pool, node);
        if (other->rest == POOL_WAITS && other->waits_for &&
            strcmp(other->waits_for, pool->config->name) == 0)
            return true;
    }
    return false;
}

static enum startgate_rank rank_of(const struct worker *w)
{
    const struct pool *pool = w->pool;
    const struct restart *restart = &pool->instances[w->instance].restart;
    bool serves = pool_serves(pool);
    bool calls_wait = !list_empty(&pool->requests) || !list_empty(&pool->asks);
    if (!serves && is_awaited(pool))
        return RANK_NEEDED;
    if (restart->streak || restart->unready || pool->renewing || (serves && calls_wait) ||
        (!serves && pool->settled))
        return RANK_AGAIN;
    return serves ? RANK_MORE : RANK_FIRST;
}

/* ---------------------------------------------------------------------- the queue */

static struct worker *first_in(const struct list *list)
{
    return list_empty(list) ? NULL : list_first(list, struct worker, gate);
}

static struct worker *longest_waiting(const struct startgate *gate)
{
    struct worker *oldest = NULL;
    for (int rank = 0; rank < STARTGATE_RANKS; rank++) {
        struct worker *w = first_in(&gate->waiting[rank]);
        if (w && (!oldest || w->gate_ticket < oldest->gate_ticket))
            oldest = w;
    }
    return oldest;
}

static struct worker *pick(const struct startgate *gate)
{
    if (gate->passed % STARTGATE_FAIR == STARTGATE_FAIR - 1)
        return longest_waiting(gate);
    for (int rank = 0; rank < STARTGATE_RANKS; rank++)
        if (!list_empty(&gate->waiting[rank]))
            return first_in(&gate->waiting[rank]);
    return NULL;
}

static void on_patience(struct timer *timer)
{
    startgate_leave(container_of(timer, struct worker, gate_limit));
}

static void pass(struct startgate *gate, struct worker *w)
{
    list_del(&w->gate);
    gate->open++;
    gate->passed++;
    w->gate_counts = true;
    timer_start(w->pool->pools->loop, &w->gate_limit, STARTGATE_PATIENCE_MS, on_patience);
    worker_start(w);
}

static void on_next(struct task *task)
{
    struct startgate *gate = container_of(task, struct startgate, next);
    for (struct worker *w; gate->open < gate->limit && (w = pick(gate));)
        pass(gate, w);
}

/* ------------------------------------------------------------------------- public */

void startgate_init(struct startgate *gate)
{
    *gate = (struct startgate){0};
    for (int rank = 0; rank < STARTGATE_RANKS; rank++)
        list_init(&gate->waiting[rank]);
    task_init(&gate->next, on_next);
}

void startgate_deinit(struct startgate *gate)
{
    task_cancel(&gate->next);
}

void startgate_enter(struct worker *w)
{
    struct startgate *gate = gate_of(w);
    if (gate->limit == 0) {
        struct machine machine;
        machine_read(&machine);
        uint64_t fits = PER_CPU * machine.cpus / THOUSANDTHS;
        gate->limit = (unsigned)MAX(fits, (uint64_t)STARTGATE_LEAST);
    }
    if (gate->open < gate->limit && !longest_waiting(gate)) {
        pass(gate, w);
        return;
    }
    w->gate_ticket = ++gate->tickets;
    list_add(&gate->waiting[rank_of(w)], &w->gate);
}

/* The next one starts later in this turn: a start may fail, and that must not recurse. */
void startgate_leave(struct worker *w)
{
    struct startgate *gate = gate_of(w);
    struct loop *loop = w->pool->pools->loop;
    list_del(&w->gate);
    timer_stop(loop, &w->gate_limit);
    if (!w->gate_counts)
        return;
    w->gate_counts = false;
    gate->open--;
    if (longest_waiting(gate))
        loop_defer(loop, &gate->next);
}

bool startgate_waits(const struct worker *w)
{
    return !list_empty(&w->gate);
}
