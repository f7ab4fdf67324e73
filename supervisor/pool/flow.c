/*
 * Bodies in pieces, both ways: the part of call.h and worker.h that keeps the credit.
 *
 * Towards the worker: its credit bounds each body, and CHUNKS_HIGH what lies in its pipe, so
 * that control frames, answers and asks, which are written at once, never wait behind more
 * than that.  Those who find the pipe full get their turns in a ring, a piece each.
 *
 * From the worker: it may send `window` bytes, and what the owner has passed on it may send
 * again, told in steps of half a window.  What comes for a call that is over is thrown away
 * and granted again at once, so that a worker that does not heed `cancel` still ends.
 */
#include <stdio.h>

#include "pool/blame.h"
#include "pool/pool.h"

enum {
    CHUNKS_HIGH = 128 * 1024, /* bytes in the pipe's queue beyond which bodies wait */
    WINDOW = 256 * 1024,      /* of an answer; */
    WINDOW_ALONE =
        1024 * 1024 /* of a one-at-a-time worker's, which a slow client should not hold */
};

uint64_t worker_window(const struct worker *w)
{
    return w->ready.concurrency == 1 ? WINDOW_ALONE : WINDOW;
}

/* ------------------------------------------------------------- to the worker */

static bool pipe_is_free(const struct worker *w)
{
    return stream_queued(&w->proc.in) < CHUNKS_HIGH;
}

static void wait_for_turn(struct worker *w, struct call *c)
{
    if (list_empty(&c->wants))
        list_add(&w->wants, &c->wants);
}

size_t call_room(struct call *c)
{
    if (!c->slot || !c->streams || !c->credit || c->body_ended)
        return 0;
    struct worker *w = c->slot->worker;
    if (!worker_alive(w) || w->ending)
        return 0;
    if (!pipe_is_free(w) || (!list_empty(&w->wants) && w->turn != c)) {
        wait_for_turn(w, c);
        return 0;
    }
    return (size_t)MIN(c->credit, (uint64_t)FRAME_CHUNK_MAX);
}

void flow_resume(struct worker *w)
{
    while (!list_empty(&w->wants) && pipe_is_free(w) && worker_alive(w)) {
        struct call *c = list_first(&w->wants, struct call, wants);
        list_del(&c->wants);
        w->turn = c;
        c->ops->room(c);
        w->turn = NULL;
    }
}

void flow_begin(struct slot *slot)
{
    struct call *c = slot->call;
    struct worker *w = slot->worker;
    c->window = worker_window(w);
    c->consumed = 0;
    if (!c->streams)
        return;
    c->credit = w->ready.window;
    c->body_ended = false;
    wait_for_turn(w, c);
    flow_resume(w);
}

void flow_leave(struct call *c)
{
    list_del(&c->wants);
    c->credit = 0;
}

/* Something of it has moved: the worker has its whole time again to answer. */
static void renew_deadline(struct call *c)
{
    struct loop *loop = c->pool->pools->loop;
    if (c->answering)
        return;
    c->deadline_ms = loop_now(loop) + c->timeout_ms;
    c->slot->deadline_ms = c->deadline_ms;
    timer_start(loop, &c->timer, c->timeout_ms, c->timer.fire);
}

void call_send(struct call *c, struct slice bytes)
{
    struct worker *w = c->slot->worker;
    w->turn = NULL;
    c->credit -= MIN(c->credit, (uint64_t)bytes.len);
    frame_write_chunk(worker_out(w), c->slot->id, bytes);
    renew_deadline(c);
}

void call_send_message(struct call *c, bool text, struct slice bytes)
{
    struct worker *w = c->slot->worker;
    w->turn = NULL;
    c->credit -= MIN(c->credit, (uint64_t)bytes.len);
    frame_write_message(worker_out(w), c->slot->id, text, bytes);
}

void call_send_end(struct call *c, const struct frame_end *end)
{
    if (!c->slot || c->body_ended)
        return;
    c->body_ended = true;
    if (worker_alive(c->slot->worker) && !c->slot->worker->ending)
        frame_write_end(worker_out(c->slot->worker), c->slot->id, end);
    if (!c->answering)
        renew_deadline(c);
}

/* ----------------------------------------------------------- from the worker */

static void grant(struct worker *w, uint64_t id, uint64_t bytes)
{
    if (worker_alive(w) && !w->ending)
        frame_write_credit(worker_out(w), id, bytes);
}

void call_consumed(struct call *c, size_t bytes)
{
    c->consumed += bytes;
    if (!c->slot || c->consumed < worker_window(c->slot->worker) / 2)
        return;
    grant(c->slot->worker, c->slot->id, c->consumed);
    c->window += c->consumed;
    c->consumed = 0;
}

/* Nobody wants it: let it come to its end. */
static void throw_away(struct slot *slot, size_t bytes)
{
    slot->drained += bytes;
    if (slot->drained < worker_window(slot->worker) / 2)
        return;
    grant(slot->worker, slot->id, slot->drained);
    slot->drained = 0;
}

void flow_abandon(struct slot *slot, const struct call *c)
{
    uint64_t window = worker_window(slot->worker);
    if (c->answering)
        throw_away(slot, (size_t)(window - MIN(window, c->window)));
}

/* The call ends here, the slot when the worker has answered: it is told to stop. */
static void give_up(struct slot *slot, const char *code, const char *what)
{
    char text[256];
    struct call *c = slot->call;
    struct worker *w = slot->worker;
    snprintf(text, sizeof(text), "worker %s %s", w->pool->config->name, what);
    pool_tell(w->pool, w, LOG_WARN, "an answer in pieces is cut: it %s", what);
    slot_abandon(slot, "timeout");
    call_fail(c, &(struct call_failure){.code = code, .status = 502, .text = text});
}

/* What is wrong with this frame at this place in the answer, or NULL. */
static const char *misplaced(const struct call *c, const struct frame *f)
{
    switch (f->kind) {
    case FRAME_INFO:
        return c->answering ? "sent an interim answer after the head of its answer" : NULL;
    case FRAME_RESPONSE:
        return c->answering ? "began its answer twice" : NULL;
    default:
        return c->answering ? NULL : "sent a piece of an answer that it has not begun";
    }
}

/* A message may exceed what is left, because it cannot be parted. */
static bool within_window(struct call *c, const struct frame *f, size_t bytes)
{
    bool fits = bytes <= c->window || (f->kind == FRAME_MESSAGE && c->window > 0);
    c->window -= MIN(c->window, (uint64_t)bytes);
    return fits;
}

static void pass_on(struct slot *slot, const struct frame *f, struct slice body)
{
    struct call *c = slot->call;
    if (f->kind == FRAME_RESPONSE) {
        c->answering = true;
        blame_acquit(c->pool, c); /* a socket may last for days: its end is too late for that */
        timer_stop(c->pool->pools->loop, &c->timer);
    }
    c->ops->part(c, f, body);
}

/* The last frame: the slot is free. */
static unsigned end_answer(struct slot *slot, const struct frame *f, struct slice body)
{
    struct call *c = slot_release(slot);
    slot_close(slot);
    if (c)
        call_finish(c, f, body);
    return 1;
}

static unsigned take_piece(struct slot *slot, const struct frame *f, struct slice body)
{
    struct call *c = slot->call;
    bool last = f->kind == FRAME_END;
    if (c) {
        const char *wrong =
            !c->ops->part ? "streams its answer, which was not asked for" : misplaced(c, f);
        if (wrong)
            give_up(slot, "internal", wrong);
        else if (!within_window(c, f, body.len))
            give_up(slot, "resource_exhausted", "sent more than it had credit for");
        else if (!last)
            pass_on(slot, f, body);
    } else if (!last) {
        throw_away(slot, body.len);
    }
    return last ? end_answer(slot, f, body) : 0;
}

unsigned flow_take(struct worker *w, struct slot *slot, const struct frame *f)
{
    struct call *c = slot->call;
    if (f->kind == FRAME_CREDIT) {
        if (c && c->streams && !c->body_ended) {
            c->credit = MIN(c->credit + f->bytes, (uint64_t)INT64_MAX);
            wait_for_turn(w, c);
            flow_resume(w);
        }
        return 0;
    }
    struct buf scratch = {0};
    struct slice body = frame_body_bytes(f, &scratch);
    unsigned ended = take_piece(slot, f, body);
    buf_deinit(&scratch);
    return ended;
}
