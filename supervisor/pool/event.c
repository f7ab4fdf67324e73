#include "pool/event.h"

#include <assert.h>

#include "pool/balance.h"

enum { HELD_AGAIN_MS = 100 }; /* a deadline waits for what is held to be read */

static const struct call_failure too_slow = {
    .code = "deadline_exceeded",
    .status = 504,
    .text = "it was not handled in time",
};

/* --------------------------------------------------------------------- seats */

static struct seat *find_seat(const struct worker *w, const void *kind)
{
    struct seat *seat = w->seats;
    while (seat && seat->kind != kind)
        seat = seat->next;
    return seat;
}

/* Those that nobody takes and nobody holds. */
static void drop_empty(struct worker *w)
{
    for (struct seat **at = &w->seats; *at;) {
        struct seat *seat = *at;
        if (seat->max || seat->used) {
            at = &seat->next;
            continue;
        }
        *at = seat->next;
        xfree(seat);
    }
}

void event_seat(struct worker *w, const void *kind, unsigned max)
{
    struct seat *seat = find_seat(w, kind);
    if (!seat && max) {
        seat = xcalloc(1, sizeof(*seat));
        *seat = (struct seat){.next = w->seats, .kind = kind};
        w->seats = seat;
    }
    if (seat)
        seat->max = max;
    w->pool->takes_events |= max > 0;
    drop_empty(w);
}

void event_unseat(struct worker *w)
{
    for (struct seat *seat = w->seats; seat; seat = seat->next)
        seat->max = 0;
    drop_empty(w);
}

bool event_takes(const struct worker *w, const void *kind)
{
    const struct seat *seat = find_seat(w, kind);
    return seat && seat->max;
}

void event_left(struct slot *slot)
{
    struct seat *seat = slot->seat;
    seat->used--;
    if (seat->used == 0)
        seat->alone = false;
    if (seat->used == 0 && seat->max == 0)
        drop_empty(slot->worker);
}

void event_forget(struct worker *w)
{
    event_unseat(w);
    assert(!w->seats);
}

/* -------------------------------------------------------------------- giving */

static bool has_seat(const struct worker *w, const void *kind, bool alone)
{
    const struct seat *seat = find_seat(w, kind);
    return seat && seat->used < seat->max && !seat->alone && !(alone && seat->used);
}

struct worker *event_worker(struct pool *pool, const void *kind, bool alone)
{
    struct worker *best = NULL;
    struct balance_load best_load = {0};
    if (pool->pools->stopping || pool->leaving || !list_empty(&pool->requests) ||
        !list_empty(&pool->asks))
        return NULL;
    list_each (at, &pool->states[WORKER_READY]) {
        struct worker *w = container_of(at, struct worker, node);
        struct balance_load load = {w->slot_count, (unsigned)w->ready.concurrency};
        if (worker_has_room(w) && has_seat(w, kind, alone) &&
            (!best || balance_less(&load, &best_load))) {
            best = w;
            best_load = load;
        }
    }
    return best;
}

static void on_timeout(struct timer *timer)
{
    struct call *c = container_of(timer, struct call, timer);
    struct worker *w = c->slot->worker;
    if (w->held) { /* its answer may lie there */
        timer_start(w->pool->pools->loop, timer, HELD_AGAIN_MS, on_timeout);
        return;
    }
    slot_abandon(c->slot, "timeout");
    call_fail(c, &too_slow);
    worker_overdue(w);
}

static void begin_timeout(struct call *c, struct loop *loop)
{
    c->deadline_ms = c->timeout_ms ? loop_now(loop) + c->timeout_ms : EVENT_NO_DEADLINE;
    if (c->timeout_ms)
        timer_start(loop, &c->timer, c->timeout_ms, on_timeout);
}

void event_give(struct worker *w, struct call *c, const void *kind, bool alone,
                uint64_t timeout_ms)
{
    struct seat *seat = find_seat(w, kind);
    assert(seat && c->kind == CALL_EVENT);
    c->pool = w->pool;
    c->timeout_ms = timeout_ms;
    begin_timeout(c, w->pool->pools->loop);
    seat->used++;
    seat->alone = alone;
    worker_give(w, c, /* nested= */ false);
    c->slot->seat = seat;
}

void event_progress(struct call *c)
{
    if (!c->slot || !c->timeout_ms)
        return;
    begin_timeout(c, c->pool->pools->loop);
    c->slot->deadline_ms = c->deadline_ms;
}

uint64_t event_ran_ms(const struct call *c)
{
    return c->slot ? (loop_clock_ns() - c->slot->sent_ns) / 1000000 : 0;
}

/* -------------------------------------------------------------------- telling */

bool event_tell(struct worker *w, struct slice line)
{
    bool serves = w->state == WORKER_READY || w->state == WORKER_BUSY;
    if (!serves || w->ending || !worker_pipe_has_room(w))
        return false;
    buf_add(worker_out(w), line);
    worker_update_load(w);
    return true;
}

/* ------------------------------------------------------------------ what it says */

void event_hold(struct worker *w)
{
    if (w->held || !worker_alive(w))
        return;
    w->held = true;
    stream_pause(&w->proc.out);
}

void event_release(struct worker *w)
{
    if (!w->held)
        return;
    w->held = false;
    w->ping_sent_ms = loop_now(w->pool->pools->loop); /* its answer was not read */
    stream_poke(&w->proc.out);
}

void event_from_worker(struct worker *w, const struct frame *f)
{
    struct pool_observer *observer = w->pool->pools->observer;
    const struct slot *slot;
    if (f->kind == FRAME_PROGRESS) {
        slot = idmap_get(&w->open, f->id.number);
        if (slot && slot->call && slot->call->kind == CALL_EVENT)
            event_progress(slot->call);
    } else if (observer->framed) {
        observer->framed(observer, w, f);
    } else if (f->id.kind >= FRAME_ID_NUMBER) {
        frame_write_error(worker_out(w), f->id.raw, "unimplemented",
                          SLICE("there are no events here"), (struct slice){0});
    }
}

void event_need(struct pool *pool, double instances, uint64_t backlog)
{
    pool->event_instances = instances;
    pool->event_backlog = backlog;
    scale_wake(pool);
}
