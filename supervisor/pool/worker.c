#include "pool/worker.h"

#include <assert.h>
#include <stdio.h>

#include "pool/ask.h"
#include "pool/balance.h"
#include "pool/blame.h"
#include "pool/event.h"
#include "pool/health.h"
#include "pool/pool.h"

enum {
    PIPE_HIGH = 256 * 1024, /* queued bytes beyond which nothing new is written */
    STALL_MS = 3,           /* a prefetched call waits no longer behind a slow one */
};

/* ------------------------------------------------------------------- states */

#define TO(state) (1u << WORKER_##state)

/* moves[from] is the set of states that may follow. */
static const unsigned moves[WORKER_STATES] = {
    [WORKER_BACKOFF] = TO(STARTING) | TO(STOPPED),
    [WORKER_FAILED] = TO(STARTING) | TO(STOPPED),
    [WORKER_STARTING] = TO(READY) | TO(BACKOFF) | TO(FAILED) | TO(DRAINING) | TO(STOPPED),
    [WORKER_READY] = TO(BUSY) | TO(UNHEALTHY) | TO(DRAINING) | TO(STOPPED),
    [WORKER_BUSY] = TO(READY) | TO(UNHEALTHY) | TO(DRAINING) | TO(STOPPED),
    [WORKER_UNHEALTHY] = TO(READY) | TO(BUSY) | TO(DRAINING) | TO(STOPPED),
    [WORKER_DRAINING] = TO(STOPPED),
    [WORKER_STOPPED] = 0,
};

void worker_set_state(struct worker *w, enum worker_state to)
{
    assert(moves[w->state] & (1u << to));
    list_del(&w->node);
    w->state = to;
    list_add(&w->pool->states[to], &w->node);
    if (to >= WORKER_UNHEALTHY || to == WORKER_STARTING)
        pool_changed(w->pool);
}

static bool serves(const struct worker *w)
{
    return w->state == WORKER_READY || w->state == WORKER_BUSY;
}

bool worker_alive(const struct worker *w)
{
    return w->spawned && !w->proc.reaped && w->state != WORKER_STOPPED;
}

bool worker_pipe_has_room(const struct worker *w)
{
    return stream_queued(&w->proc.in) < PIPE_HIGH;
}

/* Its oldest unanswered line; there is one. */
static struct slot *first_slot(const struct worker *w)
{
    return list_first(&w->slots, struct slot, node);
}

static bool below_limit(const struct worker *w)
{
    return w->slot_count < w->ready.concurrency;
}

/* `ending` in a state that serves: it has been killed and is not reaped yet. */
bool worker_has_room(const struct worker *w)
{
    return w->state == WORKER_READY && !w->ending && worker_pipe_has_room(w);
}

unsigned worker_ahead(const struct worker *w)
{
    if (w->state != WORKER_BUSY || w->ready.concurrency != 1 || w->stalled || w->ending ||
        w->nested_count || first_slot(w)->asking || first_slot(w)->seat ||
        !worker_pipe_has_room(w))
        return 0;
    unsigned declared = (unsigned)MIN(w->ready.prefetch, w->pool->config->prefetch);
    unsigned ahead = balance_prefetch(&w->pace, declared);
    unsigned used = w->slot_count - 1;
    return ahead > used ? ahead - used : 0;
}

void worker_update_load(struct worker *w)
{
    if (!serves(w))
        return;
    enum worker_state to =
        below_limit(w) && worker_pipe_has_room(w) ? WORKER_READY : WORKER_BUSY;
    if (w->state != to)
        worker_set_state(w, to);
}

/* -------------------------------------------------------------------- slots */

struct slot *worker_oldest(const struct worker *w)
{
    list_each (at, &w->slots)
        if (!container_of(at, struct slot, node)->nested)
            return container_of(at, struct slot, node);
    return NULL;
}

/* The line has left for the pipe, whole. */
static bool slot_delivered(const struct slot *slot)
{
    return slot->end <= stream_taken(&slot->worker->proc.in);
}

/*
 * A one-at-a-time worker takes requests in order, so what lies behind its oldest
 * unanswered one has not begun; nested asks it may take at any time, and others may
 * have begun whatever reached them.
 */
bool slot_started(const struct slot *slot)
{
    const struct worker *w = slot->worker;
    if (!slot_delivered(slot))
        return false;
    if (w->ready.concurrency > 1 || slot->nested)
        return true;
    return worker_oldest(w) == slot;
}

bool slot_is_behind_freeze(const struct slot *slot)
{
    return slot->worker->end == END_FROZEN && slot->end > slot->worker->ping_at;
}

struct slot *worker_newest(const struct worker *w)
{
    struct slot *last = list_last(&w->slots, struct slot, node);
    if (w->nested_count == 0)
        return worker_oldest(w);
    while (!last->nested)
        last = container_of(last->node.prev, struct slot, node);
    return last;
}

/*
 * Of a stack of calls only the top can run: one below it whose answer has come must
 * not keep the worker from what the top waits for.
 */
bool worker_waits_in_ask(const struct worker *w)
{
    if (!serves(w) || w->ending || !worker_has(w, FEATURE_NESTED) || !worker_pipe_has_room(w) ||
        list_empty(&w->slots))
        return false;
    if (w->ready.concurrency == 1)
        return worker_newest(w)->asking > 0;
    list_each (at, &w->slots)
        if (container_of(at, struct slot, node)->asking == 0)
            return false;
    return true;
}

static void on_stall(struct timer *timer);

static void watch_stall(struct worker *w)
{
    if (w->slot_count < 2 || w->stalled || timer_runs(&w->stall))
        return;
    w->stall_id = first_slot(w)->id;
    timer_start(w->pool->pools->loop, &w->stall, STALL_MS, on_stall);
}

void worker_give(struct worker *w, struct call *call, bool nested)
{
    struct pools *pools = w->pool->pools;
    struct slot *slot = xcalloc(1, sizeof(*slot));
    uint64_t now = loop_now(pools->loop);
    slot->worker = w;
    slot->call = call;
    slot->id = ++pools->next_id;
    slot->nested = nested;
    slot->sent_ns = loop_clock_ns();
    slot->deadline_ms = call->deadline_ms;
    call->slot = slot;
    uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 1;
    call->ops->write(call, w, slot->id, left, nested, worker_out(w));
    slot->end = stream_position(&w->proc.in);
    list_add(&w->slots, &slot->node);
    idmap_put(&w->open, slot->id, slot);
    if (w->slot_count++ == 0)
        w->batch_ns = slot->sent_ns;
    w->nested_count += nested;
    worker_update_load(w);
    if (w->ready.concurrency == 1)
        watch_stall(w);
    flow_begin(slot);
}

struct call *slot_release(struct slot *slot)
{
    struct call *call = slot->call;
    slot->call = NULL;
    if (call) {
        call->slot = NULL;
        flow_leave(call);
    }
    return call;
}

void slot_close(struct slot *slot)
{
    struct worker *w = slot->worker;
    assert(!slot->call);
    ask_orphan_of(slot);
    if (slot->seat)
        event_left(slot);
    idmap_remove(&w->open, slot->id);
    list_del(&slot->node);
    w->slot_count--;
    w->nested_count -= slot->nested;
    xfree(slot->past);
    xfree(slot);
}

static void on_stuck(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, stuck);
    if (!idmap_get(&w->open, w->stuck_id))
        return;
    if (w->state == WORKER_DRAINING) { /* it has been waited for long enough */
        worker_drain(w, 0, w->cause);
        return;
    }
    w->end = END_STUCK;
    worker_give_up(w, "it does not answer, long after the deadline of a request");
}

static bool is_awaited(const struct worker *w)
{
    list_each (at, &w->slots)
        if (container_of(at, struct slot, node)->call)
            return true;
    return false;
}

static void on_forgotten(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, stuck);
    if (w->slot_count && !is_awaited(w))
        worker_drain(w, 0, w->cause);
}

/* One that does many things at a time is not stuck, but nobody awaits what it still has. */
static void watch_forgotten(struct worker *w)
{
    if (w->state != WORKER_DRAINING || w->ending || is_awaited(w))
        return;
    struct loop *loop = w->pool->pools->loop;
    uint64_t now = loop_now(loop), last = now;
    list_each (at, &w->slots)
        last = MAX(last, container_of(at, struct slot, node)->deadline_ms);
    timer_start(loop, &w->stuck, last - now + w->pool->config->kill_after, on_forgotten);
}

void worker_watch_stuck(struct worker *w)
{
    if (!w->slot_count || !worker_alive(w))
        return;
    if (w->ready.concurrency != 1) {
        watch_forgotten(w);
        return;
    }
    const struct slot *slot = first_slot(w);
    if (slot->call)
        return;
    if (timer_runs(&w->stuck) && w->stuck_id == slot->id)
        return;
    struct loop *loop = w->pool->pools->loop;
    uint64_t now = loop_now(loop);
    uint64_t left = slot->deadline_ms > now ? slot->deadline_ms - now : 0;
    w->stuck_id = slot->id;
    timer_start(loop, &w->stuck, left + w->pool->config->kill_after, on_stuck);
}

void slot_abandon(struct slot *slot, const char *reason)
{
    struct worker *w = slot->worker;
    blame_remember(slot, slot->call);
    struct call *call = slot_release(slot);
    assert(call);
    if (call->answering) /* it may be in the middle of something long: as much time as to begin
                          */
        slot->deadline_ms = loop_now(w->pool->pools->loop) + call->timeout_ms;
    if (slot->deadline_ms == EVENT_NO_DEADLINE)
        slot->deadline_ms = loop_now(w->pool->pools->loop) + w->pool->config->timeout;
    ask_cancel_for(slot);
    if (reason && !slot->cancelled && worker_alive(w) && !w->ending &&
        worker_has(w, FEATURE_CANCEL)) {
        frame_write_cancel(worker_out(w), slot->id, reason);
        slot->cancelled = true;
    }
    flow_abandon(slot, call);
    worker_watch_stuck(w);
}

/* -------------------------------------------------------------------- stall */

/*
 * What waits behind a slow call goes to whoever is free first.  The worker is told
 * to forget it; should it have begun after all, its answer is dropped by its id, and
 * nothing is lost because only what may be done twice is moved.
 */
static void move_waiting(struct worker *w)
{
    for (struct list *at = w->slots.prev, *before; at != &w->slots; at = before) {
        struct slot *slot = container_of(at, struct slot, node);
        before = at->prev;
        struct call *call = slot->call;
        bool working = (w->ready.concurrency == 1 || w->end == END_FROZEN) &&
                       slot_started(slot) && !slot_is_behind_freeze(slot);
        if (slot == first_slot(w) || working || slot->nested || !call || !call->idempotent ||
            call->fixed || call->answering)
            continue;
        slot_abandon(slot, "moved");
        pool_requeue(w->pool, call);
    }
}

static void on_stall(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, stall);
    if (!serves(w) || w->slot_count < 2)
        return;
    if (first_slot(w)->id != w->stall_id || w->pool->wanted < 2) {
        watch_stall(w);
        return;
    }
    w->stalled = true;
    move_waiting(w);
    pool_dispatch(w->pool);
}

/* --------------------------------------------------------------- being ready */

void worker_became_ready(struct worker *w)
{
    timer_stop(w->pool->pools->loop, &w->timer);
    startgate_leave(w);
    if (pool_holds_back(w)) {
        w->standby = true;
        pool_standby(w);
        return;
    }
    worker_enter(w);
}

void worker_enter(struct worker *w)
{
    w->standby = false;
    w->ready_ms = loop_now(w->pool->pools->loop);
    worker_set_state(w, WORKER_READY);
    health_start(w);
    pool_worker_ready(w);
}

void worker_overdue(struct worker *w)
{
    if (w->ready.concurrency != 1)
        return;
    w->stalled = true;
    move_waiting(w);
    pool_dispatch(w->pool);
}

void worker_give_up(struct worker *w, const char *why)
{
    if (w->state == WORKER_DRAINING || w->state == WORKER_STOPPED)
        return;
    if (w->state == WORKER_STARTING) { /* a start that failed: with a pause */
        worker_kill(w, why);
        return;
    }
    move_waiting(w);
    pool_tell(w->pool, w, LOG_WARN, "%s; it is being replaced", why);
    snprintf(w->cause, sizeof(w->cause), "%s", why);
    pool_replace_now(w);
}
