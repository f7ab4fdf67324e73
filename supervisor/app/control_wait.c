#include "app/control_wait.h"

#include <stdio.h>

#include "app/control_reply.h"
#include "app/control_state.h"
#include "base/secret.h"

enum {
    LOOK_MS = 50,
    JOB_MS = 1000, /* what may be about to end is not taken for what serves before this */
};

struct waiter {
    struct pending pending;
    struct list node; /* in control->waiters */
    struct control *control;
    struct exchange *exchange;
    char *name; /* the pool itself may be removed */
    struct waiter_order order;
    uint64_t until_ms;
    char told[512]; /* the last error of the pool; "" = none */
};

/* --------------------------------------------------------------------- judging */

/* It is ready because it runs, and may be one that does its work and ends. */
static bool may_be_job(const struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    uint64_t when = config->restart.when;
    return (when == RESTART_NO || when == RESTART_ON_FAILURE) && !control_is_checked(config) &&
           loop_now(w->pool->pools->loop) < w->started_ms + JOB_MS;
}

static size_t count_serving(const struct pool *pool, uint64_t from, uint64_t before)
{
    size_t count = 0;
    for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
        list_each (at, &pool->states[state]) {
            const struct worker *w = container_of(at, struct worker, node);
            count += w->life >= from && w->life < before && !may_be_job(w);
        }
    return count;
}

static enum waiter_verdict judge_end(const struct pool *pool, struct err *err)
{
    if (pool->rest == POOL_RUNS) {
        err_set(err, -1, "was started again meanwhile");
        return WAITER_FAILED;
    }
    err_set(err, -1, "still has processes that end");
    return pool->lives ? WAITER_GOES_ON : WAITER_DONE;
}

static enum waiter_verdict judge_rest(const struct pool *pool, struct err *err)
{
    char how[120];
    switch (pool->rest) {
    case POOL_HELD:
        err_set(err, -1, "was stopped meanwhile");
        return WAITER_FAILED;
    case POOL_ENDED:
        control_describe_exit(&pool->last_exit, how, sizeof(how));
        err_set(err, -1, "has ended (%s)", how);
        return pool->ended_well ? WAITER_DONE : WAITER_FAILED;
    case POOL_WAITS:
        err_set(err, -1, "waits for %s", pool->waits_for ? pool->waits_for : "another one");
        return WAITER_GOES_ON;
    default:
        err_set(err, -1, "does not run");
        return WAITER_FAILED;
    }
}

/* Without its subject, "service db ". */
static const char *trouble_of(const struct pool *pool)
{
    size_t subject = strlen(pool_kind(pool)) + strlen(pool->config->name) + 2;
    return strlen(pool->trouble) > subject ? pool->trouble + subject : "does not start";
}

enum waiter_verdict waiter_judge(const struct pool *pool, enum waiter_goal goal,
                                 uint64_t first_life, struct err *err)
{
    if (goal == GOAL_NONE)
        return WAITER_DONE;
    if (goal == GOAL_ENDS)
        return judge_end(pool, err);
    if (pool->rest != POOL_RUNS)
        return judge_rest(pool, err);
    size_t old = count_serving(pool, 0, first_life);
    size_t ready = count_serving(pool, first_life, UINT64_MAX);
    if (ready >= pool->wanted && !old)
        return WAITER_DONE;
    if (old && !pool->renewing) {
        err_set(err, -1, "could not be replaced: %s",
                pool->stale[0] ? pool->stale : "the old version goes on");
        return WAITER_FAILED;
    }
    err_set(err, -1, "is not ready: %zu of %zu instances are", ready, pool->wanted);
    if (!old && pool->settled && pool_is_down(pool)) {
        err_set(err, -1, "%s", trouble_of(pool));
        return WAITER_FAILED;
    }
    return WAITER_GOES_ON;
}

/* -------------------------------------------------------------------- answering */

static void answer(struct exchange *x, const struct control_host *host, const struct pool *pool,
                   const struct waiter_order *order, bool done)
{
    struct buf out = {0};
    buf_addf(&out, "{\"changed\":%s,\"done\":%s,\"signalled\":%u,\"program\":",
             order->changed ? "true" : "false", done ? "true" : "false", order->signalled);
    control_write_program(host, pool, CONTROL_BRIEF, &out);
    buf_adds(&out, "}\n");
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

static void refuse(struct exchange *x, const struct control_host *host, const struct pool *pool,
                   bool late, struct slice sentence)
{
    struct buf data = {0};
    control_write_program(host, pool, CONTROL_BRIEF, &data);
    control_refuse(x, late ? 504 : 409, late ? "deadline_exceeded" : "failed_precondition",
                   sentence, buf_slice(&data));
    buf_deinit(&data);
}

/* False while it is to be waited on. */
static bool try_answer(struct waiter *w, uint64_t now_ms)
{
    const struct control_host *host = &w->control->host;
    struct exchange *x = w->exchange;
    struct pool *pool = pools_find(host->pools, slice_of(w->name));
    struct err err = {0};
    if (!pool) {
        control_refuse(x, 409, "aborted", SLICE("it was removed meanwhile"), (struct slice){0});
        return true;
    }
    enum waiter_verdict verdict = waiter_judge(pool, w->order.goal, w->order.first_life, &err);
    bool late = now_ms >= w->until_ms;
    if (verdict == WAITER_GOES_ON && !late)
        return false;
    if (verdict == WAITER_DONE) {
        answer(x, host, pool, &w->order, /* done= */ true);
        return true;
    }
    bool says_why = pool->stale[0] ||
                    (verdict == WAITER_FAILED && pool->rest == POOL_RUNS && pool->trouble[0]);
    bool is_told = w->told[0] && !says_why;
    char *sentence =
        xasprintf("%s %s%s%s", w->name, err.text, is_told ? ": " : "", is_told ? w->told : "");
    struct slice shown = slice_of(sentence);
    struct buf scratch = {0};
    if (host->secrets)
        shown = secrets_mask(host->secrets, shown, &scratch);
    refuse(x, host, pool, verdict == WAITER_GOES_ON, shown);
    buf_deinit(&scratch);
    xfree(sentence);
    return true;
}

static void on_look(struct timer *timer)
{
    struct control *c = container_of(timer, struct control, look);
    uint64_t now_ms = loop_now(c->loop);
    list_each_safe (at, &c->waiters) {
        struct waiter *w = container_of(at, struct waiter, node);
        list_del(at);
        if (!try_answer(w, now_ms))
            list_add(at_next, at);
    }
    if (!list_empty(&c->waiters))
        timer_start(c->loop, &c->look, LOOK_MS, on_look);
}

/* --------------------------------------------------------------------- waiting */

static void on_gone(struct pending *pending)
{
    list_del(&container_of(pending, struct waiter, pending)->node);
}

void control_wait(struct control *c, struct exchange *x, const struct pool *pool,
                  const struct waiter_order *order)
{
    struct err err;
    enum waiter_verdict verdict = waiter_judge(pool, order->goal, order->first_life, &err);
    if (!order->wait_ms || verdict == WAITER_DONE) {
        answer(x, &c->host, pool, order, verdict == WAITER_DONE);
        return;
    }
    struct waiter *w = arena_alloc(exchange_arena(x), sizeof(*w));
    *w = (struct waiter){
        .pending = {.gone = on_gone},
        .control = c,
        .exchange = x,
        .name = arena_strdup(exchange_arena(x), slice_of(pool->config->name)),
        .order = *order,
        .until_ms = loop_now(c->loop) + order->wait_ms,
    };
    exchange_set_data(x, &w->pending);
    list_add(&c->waiters, &w->node);
    if (!timer_runs(&c->look))
        timer_start(c->loop, &c->look, LOOK_MS, on_look);
}

void control_told(struct control *c, const struct pool *pool, enum log_level level,
                  const char *sentence)
{
    if (level < LOG_ERROR || !c->server) /* also when it was never opened */
        return;
    list_each (at, &c->waiters) {
        struct waiter *w = container_of(at, struct waiter, node);
        if (strcmp(w->name, pool->config->name) == 0)
            snprintf(w->told, sizeof(w->told), "%s", sentence);
    }
}
