/*
 * The beginning and the end of a worker: the part of worker.h that deals with its
 * process.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>

#include "pool/ask.h"
#include "pool/blame.h"
#include "pool/environ.h"
#include "pool/health.h"
#include "pool/intake.h"
#include "pool/limits.h"
#include "pool/order.h"
#include "pool/pool.h"
#include "pool/service.h"

enum {
    AUTO_READY_MS = 2000,   /* alive for that long without a word: level 0 */
    SUSPECTS_NAMED = 3,     /* requests that a crash is put down to, in the log */
    END_OF_INPUT_MS = 1000, /* how long the end of input may do instead of SIGTERM */
    FROZEN_GRACE_MS = 1000, /* from SIGTERM to SIGKILL, of what will hardly hear the first */
};

static struct loop *loop_of(const struct worker *w)
{
    return w->pool->pools->loop;
}

/* ----------------------------------------------------------------- the exit */

static void describe_exit(const struct proc_exit *exit, char *text, size_t size)
{
    if (exit->signal)
        snprintf(text, size, "killed by signal %d (%s)", exit->signal, strsignal(exit->signal));
    else
        snprintf(text, size, "exited with status %lld", (long long)exit->code);
}

/* What it worked on is the first suspect. */
static void name_suspect(const struct worker *w, const struct call *call, const char *how)
{
    struct call_about about;
    call_describe(call, &about);
    if (about.what[0] && about.request_id.len)
        pool_tell(w->pool, w, LOG_WARN, "%s while it worked on %s (request " SLICE_FMT ")", how,
                  about.what, SLICE_ARG(about.request_id));
    else if (about.what[0])
        pool_tell(w->pool, w, LOG_WARN, "%s while it worked on %s", how, about.what);
}

/* From the newest: each goes to the head of the queue, and which is oldest stays true. */
static void take_down_calls(struct worker *w, const char *how)
{
    unsigned suspects = w->pool->pools->stopping ? SUSPECTS_NAMED : 0;
    while (!list_empty(&w->slots)) {
        struct slot *slot = list_last(&w->slots, struct slot, node);
        bool begun = slot->call && slot_started(slot) &&
                     !((slot->call->idempotent || slot->call->kind == CALL_EVENT) &&
                       slot_is_behind_freeze(slot));
        if (begun && suspects++ < SUSPECTS_NAMED)
            name_suspect(w, slot->call, how);
        struct call *call = slot_release(slot);
        slot_close(slot);
        if (call)
            pool_call_lost(w, call, begun, how);
    }
}

static void on_exited(struct proc *p, const struct proc_exit *exit)
{
    struct worker *w = container_of(p, struct worker, proc);
    char how[128];
    describe_exit(exit, how, sizeof(how));
    if (w->closed_pipe && exit->signal != SIGKILL) { /* it was about to end by itself */
        w->end = END_ITSELF;
        w->cause[0] = '\0';
    }
    intake_end(w);
    worker_stopped(w, how);
}

static void worker_free(struct worker *w)
{
    struct pool *pool = w->pool;
    timer_stop(pool->pools->loop, &w->drops);
    timer_stop(pool->pools->loop, &w->err_text.lull);
    timer_stop(pool->pools->loop, &w->out_text.lull);
    list_del(&w->node);
    ready_deinit(&w->ready);
    idmap_deinit(&w->open);
    postmortem_free(w);
    w->pool = NULL;
    w->gone = true;
    if (w->uses == 0)
        xfree(w);
    pool_worker_freed(pool);
}

void worker_stopped(struct worker *w, const char *how)
{
    struct loop *loop = loop_of(w);
    struct pool_observer *observer = w->pool->pools->observer;
    bool was_draining = w->state == WORKER_DRAINING;
    timer_stop(loop, &w->timer);
    timer_stop(loop, &w->stop);
    timer_stop(loop, &w->stall);
    timer_stop(loop, &w->stuck);
    startgate_leave(w);
    health_stop(w);
    limits_end(w);
    postmortem_ended(w);
    ask_asker_gone(w);
    worker_set_state(w, WORKER_STOPPED);
    if (w->spawned && observer->ended)
        observer->ended(observer, w->pool, w, how);
    blame_ended(w);
    take_down_calls(w, how);
    pool_worker_ended(w, how, was_draining);
    if (w->spawned)
        proc_close(&w->proc);
    else
        worker_free(w);
}

static void on_gone(struct proc *p)
{
    worker_free(container_of(p, struct worker, proc));
}

/* -------------------------------------------------------------------- pipes */

static size_t on_out(struct proc *p, struct slice bytes)
{
    return intake_out(container_of(p, struct worker, proc), bytes);
}

static size_t on_err(struct proc *p, struct slice bytes)
{
    return intake_err(container_of(p, struct worker, proc), bytes);
}

static void on_broken(struct proc *p, const char *which)
{
    struct worker *w = container_of(p, struct worker, proc);
    if (w->ending || w->pool->config->is_service)
        return;
    char why[96];
    snprintf(why, sizeof(why), "it closed its protocol %s", which);
    w->end = END_PIPE;
    w->closed_pipe = true;
    worker_kill(w, why);
}

static void on_drained(struct proc *p)
{
    struct worker *w = container_of(p, struct worker, proc);
    enum worker_state before = w->state;
    worker_update_load(w);
    if (before == WORKER_BUSY && w->state == WORKER_READY)
        pool_dispatch(w->pool);
    flow_resume(w);
}

static const struct proc_ops proc_ops = {
    .out = on_out,
    .err = on_err,
    .broken = on_broken,
    .drained = on_drained,
    .exited = on_exited,
    .gone = on_gone,
};

/* -------------------------------------------------------------------- start */

static void on_not_well(struct worker *w)
{
    char why[320], reason[256];
    service_why_unwell(w, reason, sizeof(reason));
    snprintf(why, sizeof(why), "it was not well within %llu ms%s%s",
             (unsigned long long)service_start_limit(w->pool->config), *reason ? ": " : "",
             reason);
    worker_terminate(w, why);
}

static void kill_overdue(struct worker *w)
{
    worker_kill(w, "it was not ready in time");
}

static void on_not_ready(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, timer);
    if (w->pool->config->ready_auto && !w->pool->config->is_service) {
        intake_level0(w);
        return;
    }
    w->overdue = true;
    w->end = END_START;
    if (w->pool->config->is_service) {
        on_not_well(w);
        return;
    }
    char why[96];
    snprintf(why, sizeof(why), "it was not ready within %llu ms",
             (unsigned long long)w->pool->config->start_timeout);
    snprintf(w->cause, sizeof(w->cause), "%s", why);
    w->ending = true; /* should it be ready after all: too late */
    if (!postmortem_ask(w, kill_overdue))
        worker_kill(w, why);
}

/* Now it may take this long to become ready. */
static void await_ready(struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    uint64_t limit = config->is_service   ? service_start_limit(config)
                     : config->ready_auto ? AUTO_READY_MS
                                          : config->start_timeout;
    timer_start(loop_of(w), &w->timer, limit, on_not_ready);
    order_changed(w->pool->pools);
    if (config->is_service)
        service_started(w);
}

static void not_started(struct worker *w, const char *why)
{
    char how[600];
    snprintf(how, sizeof(how), "could not be started: %s", why);
    worker_stopped(w, how);
}

void worker_start(struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    struct account account;
    struct err err;
    char taken[300];
    w->port = config->is_service ? service_port(w) : 0;
    if (service_port_is_taken(w, taken, sizeof(taken))) {
        worker_set_state(w, WORKER_STARTING);
        not_started(w, taken);
        return;
    }
    char **env = environ_new(w);
    struct proc_spec spec = {
        .argv = config->command.items,
        .env = (const char *const *)env,
        .cwd = config->cwd,
        .mark = w->life,
        .line_limit = SIZE_MAX, /* intake keeps its own bound */
        .no_input = config->is_service,
        .confine = {.plain = config->is_service},
    };
    worker_set_state(w, WORKER_STARTING);
    if (limits_confine(w, &spec.confine, &account, &err)) {
        environ_free(env);
        not_started(w, err.text);
        return;
    }
    w->spawned = true;
    w->started_ms = loop_now(loop_of(w));
    int rc = proc_spawn(&w->proc, loop_of(w), &spec, &proc_ops);
    environ_free(env);
    if (rc) {
        not_started(w, loop_strerror(rc));
        return;
    }
    limits_begin(w);
    await_ready(w);
}

static void on_pause_over(struct timer *timer)
{
    startgate_enter(container_of(timer, struct worker, timer));
}

struct worker *worker_new(struct pool *pool, unsigned instance, uint64_t delay_ms, bool failed)
{
    struct worker *w = xcalloc(1, sizeof(*w));
    w->pool = pool;
    w->instance = instance;
    w->life = ++pool->pools->next_life;
    w->generation = pool->generation;
    w->state = failed ? WORKER_FAILED : WORKER_BACKOFF;
    w->ready.concurrency = 1;
    snprintf(w->name, sizeof(w->name), "%s#%u", pool->config->name, instance);
    list_init(&w->slots);
    list_init(&w->asks);
    list_init(&w->used);
    list_init(&w->wants);
    list_init(&w->node);
    list_init(&w->gate);
    list_add(&pool->states[w->state], &w->node);
    pool->lives++;
    pool->pools->lives++;
    /* Also without a pause from the loop: a start may fail, and that must not recurse. */
    timer_start(pool->pools->loop, &w->timer, delay_ms, on_pause_over);
    return w;
}

/* ---------------------------------------------------------------------- stop */

static int stop_signal_of(const struct worker *w)
{
    int signal = w->pool->config->stop_signal;
    return signal ? signal : SIGTERM;
}

/* What fails its checks, but answers, may yet end in good order. */
static bool is_frozen(const struct worker *w)
{
    return w->end == END_STUCK ||
           (w->end == END_FROZEN && (w->silent || !w->pool->config->is_service));
}

static uint64_t grace_of(const struct worker *w)
{
    uint64_t grace = w->pool->config->stop_grace_period;
    return is_frozen(w) ? MIN(grace, (uint64_t)FROZEN_GRACE_MS) : grace;
}

static void on_grace_over(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, stop);
    const char *name = sigabbrev_np(stop_signal_of(w));
    pool_tell(w->pool, w, LOG_WARN, "did not end within %llu ms of SIG%s: killed",
              (unsigned long long)grace_of(w), name ? name : "?");
    proc_signal(&w->proc, SIGKILL);
}

static void terminate(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, stop);
    proc_signal(&w->proc, stop_signal_of(w));
    proc_signal(&w->proc, SIGCONT); /* one that is stopped does not notice else */
    timer_start(loop_of(w), &w->stop, grace_of(w), on_grace_over);
}

static void end_at_once(struct worker *w);

/* Nothing is open any more, or it is not waited for any longer. */
static void end(struct worker *w, uint64_t until_term_ms)
{
    if (w->ending)
        return;
    /* Whoever is to end because it does not answer is asked first where it is. */
    if ((w->end == END_FROZEN || w->end == END_STUCK) && postmortem_ask(w, end_at_once))
        return;
    w->ending = true;
    timer_stop(loop_of(w), &w->timer);
    health_stop(w);
    if (worker_has(w, FEATURE_DRAIN))
        frame_write_shutdown(worker_out(w), grace_of(w));
    proc_end_input(&w->proc);
    timer_start(loop_of(w), &w->stop, until_term_ms, terminate);
}

static void end_at_once(struct worker *w)
{
    end(w, 0);
}

static void on_drain_limit(struct timer *timer)
{
    end(container_of(timer, struct worker, timer), 0);
}

void worker_check_drained(struct worker *w)
{
    if (w->state == WORKER_DRAINING && w->slot_count == 0 && list_empty(&w->asks) && !w->uses &&
        !w->publishing)
        end(w, w->pool->config->is_service ? 0 : END_OF_INPUT_MS);
}

void worker_drain(struct worker *w, uint64_t limit_ms, const char *why)
{
    if (w->state == WORKER_STOPPED || (w->state == WORKER_DRAINING && limit_ms))
        return;
    if (!w->spawned) {
        worker_stopped(w, why);
        return;
    }
    if (why != w->cause)
        snprintf(w->cause, sizeof(w->cause), "%s", why);
    if (!worker_alive(w))
        return;
    if (w->end == END_ITSELF)
        w->end = END_PLANNED;
    health_stop(w);
    if (w->state != WORKER_DRAINING)
        worker_set_state(w, WORKER_DRAINING);
    if (worker_has(w, FEATURE_DRAIN) && !w->ending)
        frame_write_drain(worker_out(w), limit_ms);
    timer_start(loop_of(w), &w->timer, limit_ms, on_drain_limit);
    worker_watch_stuck(w);
    worker_check_drained(w);
}

void worker_terminate(struct worker *w, const char *why)
{
    if (!worker_alive(w))
        return;
    if (!w->cause[0])
        snprintf(w->cause, sizeof(w->cause), "%s", why);
    end(w, 0);
}

void worker_kill(struct worker *w, const char *why)
{
    if (!worker_alive(w))
        return;
    if (!w->cause[0] && why != w->cause)
        snprintf(w->cause, sizeof(w->cause), "%s", why);
    w->ending = true;
    proc_signal(&w->proc, SIGKILL);
}
