#include "app/control_act.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/control_reply.h"
#include "app/control_state.h"
#include "app/control_wait.h"
#include "config/compose.h"
#include "config/value.h"

enum { WAIT_MAX_MS = 60 * 60 * 1000, INSTANCES_MAX = 1024, STOP_MAX_MS = 24 * 60 * 60 * 1000 };

/* One order to a program, on its way from the request to the answer. */
struct act {
    struct control *control;
    struct exchange *exchange;
    struct pool *pool;
    struct waiter_order order;
};

static const char *name_of(const struct act *a)
{
    return a->pool->config->name;
}

static void refuse_state(const struct act *a, const char *fmt, const char *what)
{
    char text[300];
    snprintf(text, sizeof(text), fmt, name_of(a), what);
    control_refuse(a->exchange, 409, "failed_precondition", slice_of(text), (struct slice){0});
}

/* ------------------------------------------------------------------ parameters */

/*
 * A time of a parameter: "30" (seconds), "500ms", "1m30s".  True with *ms as it was when there
 * is none; false, and the exchange has been answered.
 */
static bool read_time(struct exchange *x, const char *name, uint64_t max_ms, uint64_t *ms)
{
    struct slice value;
    uint64_t seconds = 0, us = 0;
    if (!control_parameter(exchange_request(x), name, &value))
        return true;
    if (slice_to_u64(value, max_ms / 1000, &seconds))
        us = seconds * 1000000;
    else if (value_duration(value, false, &us) != VALUE_GOOD || us / 1000 > max_ms) {
        control_invalid(x, "%s is a time such as 30 (seconds) or 500ms, at most %llu s", name,
                        (unsigned long long)max_ms / 1000);
        return false;
    }
    *ms = us / 1000;
    return true;
}

/* ------------------------------------------------------------------ the memory */

static bool is_program(void *arg, const char *name)
{
    return pools_find(arg, slice_of(name)) != NULL;
}

static void remember(const struct act *a, bool stopped)
{
    const struct control_host *host = &a->control->host;
    bool lasts = a->pool->config->restart.when == RESTART_UNLESS_STOPPED;
    if (host->state)
        state_set_stopped(host->state, name_of(a), stopped && lasts, is_program, host->pools);
}

/* ---------------------------------------------------------------------- orders */

/* Each returns false when it has answered the exchange itself. */

static bool start(struct act *a)
{
    bool has_failed = a->pool->rest == POOL_RUNS && a->pool->settled && pool_is_down(a->pool);
    a->order.goal = has_failed ? GOAL_RENEW : GOAL_RUNS;
    a->order.changed = has_failed || a->pool->rest != POOL_RUNS;
    remember(a, false);
    if (has_failed) /* it would be tried again, but not at once */
        pool_restart(a->pool, "a person starts it");
    else
        pool_release(a->pool);
    return true;
}

static bool stop(struct act *a)
{
    a->order.goal = GOAL_ENDS;
    a->order.changed = a->pool->rest != POOL_HELD;
    remember(a, true);
    pool_hold(a->pool, "a person stopped it");
    return true;
}

static bool restart(struct act *a)
{
    if (a->pool->rest != POOL_RUNS)
        return start(a);
    a->order.goal = GOAL_RENEW;
    a->order.changed = true;
    pool_restart(a->pool, "a person restarts it");
    return true;
}

static bool reload(struct act *a)
{
    if (a->pool->rest != POOL_RUNS) {
        refuse_state(a, "%s does not run (%s): start it", control_pool_state(a->pool));
        return false;
    }
    a->order.goal = GOAL_RENEW;
    a->order.changed = true;
    pool_renew(a->pool, "a person reloads it");
    return true;
}

/* For what a reload has begun: until those that have this life or a later one serve. */
static bool await(struct act *a)
{
    struct slice value;
    if (!control_parameter(exchange_request(a->exchange), "life", &value) ||
        !slice_to_u64(value, UINT64_MAX, &a->order.first_life)) {
        control_invalid(a->exchange, "life is the number of the first instance to wait for");
        return false;
    }
    a->order.goal = GOAL_RENEW;
    a->order.changed = true;
    return true;
}

static bool scale(struct act *a)
{
    struct slice value;
    uint64_t count = 0;
    uint64_t port = a->pool->config->port;
    if (!control_parameter(exchange_request(a->exchange), "instances", &value) ||
        !slice_to_u64(value, INSTANCES_MAX, &count) || count == 0) {
        control_invalid(a->exchange,
                        "instances is a number from 1 to %d; to have none, stop it",
                        INSTANCES_MAX);
        return false;
    }
    if (port && port != PORT_AUTO && count > 1) {
        refuse_state(a, "%s listens on one fixed port, which only one instance can have: %s",
                     "give it port = \"auto\"");
        return false;
    }
    a->order.goal = a->pool->rest == POOL_RUNS ? GOAL_RUNS : GOAL_NONE;
    a->order.changed = a->pool->wanted != count;
    pool_scale(a->pool, count);
    return true;
}

static bool send_signal(struct act *a)
{
    struct slice value;
    int number = 0;
    if (control_parameter(exchange_request(a->exchange), "signal", &value))
        number = compose_signal(value);
    if (number <= 0) {
        control_invalid(a->exchange, "signal is a name such as SIGHUP, or a number");
        return false;
    }
    a->order.signalled = pool_signal(a->pool, number);
    a->order.changed = a->order.signalled > 0;
    if (a->order.changed)
        return true;
    refuse_state(a, "%s has no process (%s)", control_pool_state(a->pool));
    return false;
}

static const struct verb {
    const char *name;
    bool (*give)(struct act *);
} verbs[] = {
    {"start", start}, {"stop", stop},          {"restart", restart}, {"reload", reload},
    {"scale", scale}, {"signal", send_signal}, {"wait", await},
};

static const struct verb *find_verb(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_is(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

void control_act(struct control *c, struct exchange *x, struct pool *pool, struct slice verb)
{
    const struct verb *found = find_verb(verb);
    struct act act = {.control = c, .exchange = x, .pool = pool};
    if (!found) {
        control_refuse(
            x, 404, "not_found",
            SLICE("a program can be told: start, stop, restart, reload, scale, signal, "
                  "wait"),
            (struct slice){0});
        return;
    }
    if (!slice_is(exchange_request(x)->method, "POST")) {
        control_refuse_method(x, "POST");
        return;
    }
    if (c->host.pools->stopping) {
        control_refuse(x, 503, "unavailable", SLICE("nodey is shutting down"),
                       (struct slice){0});
        return;
    }
    if (!read_time(x, "wait", WAIT_MAX_MS, &act.order.wait_ms))
        return;
    /* Instances that are begun by the order have later numbers. */
    uint64_t first_life = c->host.pools->next_life + 1;
    if (!found->give(&act))
        return;
    if (act.order.goal == GOAL_RENEW && !act.order.first_life)
        act.order.first_life = first_life;
    control_wait(c, x, pool, &act.order);
}

void control_down(struct control *c, struct exchange *x)
{
    uint64_t limit_ms = 0;
    if (!c->host.down) {
        control_refuse(x, 422, "failed_precondition",
                       SLICE("this run serves one command and ends with it"),
                       (struct slice){0});
        return;
    }
    if (!read_time(x, "timeout", STOP_MAX_MS, &limit_ms))
        return;
    struct buf out = {0};
    buf_addf(&out, "{\"pid\":%ld,\"stopping\":true}\n", (long)getpid());
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
    c->down_ms = limit_ms;
    loop_defer_next(c->loop, &c->down);
}

void control_on_down(struct task *task)
{
    struct control *c = container_of(task, struct control, down);
    c->host.down(c->host.arg, c->down_ms);
}

/* --------------------------------------------------------------------- finding */

struct pool *control_find(struct control *c, struct exchange *x, struct slice name)
{
    struct pools *pools = c->host.pools;
    struct pool *pool = pools_find(pools, name);
    if (pool)
        return pool;
    struct nearest nearest = nearest_init(name);
    struct buf text = {0};
    const char *before = "; there are ";
    buf_addf(&text, "there is no program %s", value_quote(exchange_arena(x), name));
    list_each (at, &pools->list)
        nearest_offer(&nearest, container_of(at, struct pool, node)->config->name);
    if (nearest.best)
        buf_addf(&text, "; did you mean \"%s\"?", nearest.best);
    for (struct list *at = pools->list.next; !nearest.best && at != &pools->list;
         at = at->next) {
        buf_addf(&text, "%s%s", before, container_of(at, struct pool, node)->config->name);
        before = ", ";
    }
    control_refuse(x, 404, "not_found", buf_slice(&text), (struct slice){0});
    buf_deinit(&text);
    return NULL;
}
