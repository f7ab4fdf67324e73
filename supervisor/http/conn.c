#include "http/conn.h"

#include <assert.h>

#include "http/farewell.h"
#include "http/incoming.h"
#include "http/outgoing.h"
#include "http/request.h"

enum {
    IN_LIMIT_MIN = 16 * 1024, /* pipelined bytes that are kept while a request is served */
    SEND_HIGH = 64 * 1024,    /* unsent bytes beyond which the next request waits */
    GONE_AFTER_MS = 100,
    DRAIN_MS = 1000,     /* for a request that is under way when draining begins */
    BLANK_LINES_MAX = 2, /* RFC 9112, 2.2: some clients send one too many */
};

/* ------------------------------------------------------------------- states */

#define TO(name) (1 << CONN_##name)
static const unsigned char may_become[CONN_CLOSED + 1] = {
    [CONN_IDLE] = TO(HEAD) | TO(BODY) | TO(BUSY) | TO(LINGER) | TO(CLOSED),
    [CONN_HEAD] = TO(BODY) | TO(BUSY) | TO(LINGER) | TO(CLOSED),
    [CONN_BODY] = TO(BUSY) | TO(LINGER) | TO(CLOSED),
    [CONN_BUSY] = TO(IDLE) | TO(SENDING) | TO(REST) | TO(LINGER) | TO(CLOSED),
    [CONN_SENDING] = TO(IDLE) | TO(REST) | TO(LINGER) | TO(CLOSED),
    [CONN_REST] = TO(IDLE) | TO(LINGER) | TO(CLOSED),
    [CONN_LINGER] = TO(CLOSED),
};
#undef TO

void conn_set_state(struct conn *c, enum conn_state state)
{
    assert(may_become[c->state] & 1 << state);
    c->state = state;
    list_del(&c->node);
    if (state == CONN_IDLE)
        list_add(&c->front->idle, &c->node);
    else if (state != CONN_CLOSED)
        list_add(&c->front->active, &c->node);
}

void conn_close(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    conn_set_state(c, CONN_CLOSED);
    c->front->open--;
    timer_stop(c->front->loop, &c->timer);
    timer_stop(c->front->loop, &c->send);
    if (reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
}

void conn_end_exchange(struct conn *c)
{
    struct exchange *x = c->exchange;
    c->exchange = NULL;
    if (x)
        exchange_give(c->front, x);
}

void conn_report(struct conn *c, unsigned status, uint64_t body_bytes)
{
    struct http_handler *handler = c->front->handler;
    uint64_t took_us = (loop_clock_ns() - c->exchange->handed_ns) / 1000;
    if (handler->answered)
        handler->answered(handler, c->exchange, status, body_bytes, took_us);
}

void conn_abandon(struct conn *c, bool reset)
{
    struct http_handler *handler = c->front->handler;
    struct exchange *x = c->exchange;
    if (c->state == CONN_BUSY) {
        conn_report(c, x->tunnel ? 101 : 499, x->out.body_bytes);
        handler->gone(handler, x);
    } else if (c->state == CONN_SENDING) {
        outgoing_drop_file(c);
    }
    conn_end_exchange(c);
    conn_close(c, reset);
}

void conn_drop(struct conn *c)
{
    conn_abandon(c, false);
}

/* ------------------------------------------------------------------- timers */

static uint64_t idle_ms(const struct conn *c)
{
    uint64_t ms = c->front->limits.idle_timeout_ms;
    return c->front->draining ? MIN(ms, (uint64_t)DRAIN_MS) : ms;
}

void conn_hurry(struct conn *c)
{
    if (c->state == CONN_IDLE)
        conn_set_deadline(c, idle_ms(c));
}

static void on_deadline(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, timer);
    switch (c->state) {
    case CONN_IDLE:
        if (stream_queued(&c->stream)) /* the other timer ends it when nothing is taken */
            conn_set_deadline(c, idle_ms(c));
        else
            conn_close(c, false);
        break;
    case CONN_HEAD:
        farewell_refuse(
            c, &(struct refusal){408, "The request's header did not arrive in time."}, false);
        break;
    case CONN_BODY:
    case CONN_BUSY:
        incoming_deadline(c);
        break;
    case CONN_REST:
        conn_close(c, false);
        break;
    case CONN_LINGER:
        farewell_deadline(c);
        break;
    case CONN_SENDING: /* left running from before */
    case CONN_CLOSED:
        break;
    }
}

void conn_set_deadline(struct conn *c, uint64_t ms)
{
    timer_start(c->front->loop, &c->timer, ms, on_deadline);
}

/* ------------------------------------------------------------------ reading */

void conn_hand_over(struct conn *c)
{
    struct http_handler *handler = c->front->handler;
    struct exchange *x = c->exchange;
    x->handed_ns = loop_clock_ns();
    c->whole_ms = loop_now(c->front->loop);
    conn_set_state(c, CONN_BUSY);
    handler->request(handler, x);
}

/* The head is complete.  Returns how many of the bytes behind it were taken as well. */
static size_t begin(struct conn *c, struct slice raw, struct slice behind)
{
    struct front *f = c->front;
    struct exchange *x = exchange_take(f, c);
    struct peer peer = {ip_plain(slice_of(c->ip)), c->trusted};
    struct refusal why;
    struct head head;
    size_t lines = c->scan.lines;
    c->exchange = x;
    c->scan = (struct head_scan){0};
    c->blank_lines = 0;
    x->to_head = slice_starts(raw, SLICE("HEAD "));
    if (!head_parse(raw, lines, &x->arena, &head, &why) ||
        !request_read(&x->request, &head, &peer, &f->trust, front_make_id(f, x->id), &x->arena,
                      &why)) {
        farewell_refuse(c, &why, x->to_head);
        return 0;
    }
    x->keep_alive = head.keep_alive;
    return incoming_begin(c, &head, behind);
}

static size_t take_head(struct conn *c, struct slice bytes)
{
    struct refusal why;
    enum scan_verdict verdict = head_scan(&c->scan, bytes, &c->front->limits, &why);
    if (verdict == SCAN_REFUSED) {
        farewell_refuse(c, &why, slice_starts(bytes, SLICE("HEAD ")));
        return 0;
    }
    if (verdict == SCAN_DONE) {
        size_t len = c->scan.at;
        return len + begin(c, (struct slice){bytes.ptr, len}, slice_from(bytes, len));
    }
    if (c->state == CONN_IDLE) {
        conn_set_state(c, CONN_HEAD);
        conn_set_deadline(c, c->front->limits.header_timeout_ms);
    }
    return 0;
}

/* A client that does not take its answers is not asked for more requests. */
static bool is_choked(const struct conn *c)
{
    return stream_queued(&c->stream) > SEND_HIGH;
}

static size_t take_first(struct conn *c, struct slice bytes)
{
    if (is_choked(c))
        return 0;
    if (c->blank_lines < BLANK_LINES_MAX && bytes.ptr[0] == '\r') {
        if (bytes.len == 1)
            return 0;
        if (bytes.ptr[1] == '\n') {
            c->blank_lines++;
            return 2;
        }
    }
    return take_head(c, bytes);
}

/* Goes on with the next request, unless the client has said that there is none. */
static void next(struct conn *c)
{
    conn_set_state(c, CONN_IDLE);
    conn_set_deadline(c, idle_ms(c));
}

static size_t take(struct conn *c, struct slice bytes)
{
    size_t used;
    switch (c->state) {
    case CONN_IDLE:
        return take_first(c, bytes);
    case CONN_HEAD:
        return take_head(c, bytes);
    case CONN_BODY:
    case CONN_BUSY:
        return incoming_take(c, bytes);
    case CONN_REST:
        used = incoming_skip(c, bytes);
        if (c->rest == 0)
            next(c);
        return used;
    case CONN_LINGER:
        return farewell_discard(c, bytes);
    default:
        return 0;
    }
}

/* The client sends no more: what is not whole now never will be. */
static void settle_half_closed(struct conn *c, bool bytes_left)
{
    switch (c->state) {
    case CONN_IDLE:
        if (!(bytes_left && is_choked(c)))
            farewell_begin(c, false);
        break;
    case CONN_HEAD:
        farewell_refuse(c, &(struct refusal){400, "The request ends before it is complete."},
                        false);
        break;
    case CONN_BODY:
    case CONN_BUSY:
        if (!bytes_left)
            incoming_cut(c);
        break;
    case CONN_REST:
        farewell_begin(c, false);
        break;
    default:
        break;
    }
}

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct conn *c = container_of(s, struct conn, stream);
    size_t used = 0;
    size_t step;
    enum conn_state before;
    c->in_data = true;
    do {
        before = c->state;
        step = take(c, slice_from(bytes, used));
        used += step;
    } while (used < bytes.len && (step || c->state != before));
    if (c->half_closed)
        settle_half_closed(c, used < bytes.len);
    c->in_data = false;
    return used;
}

/* The client has ended its side; was that the end of its interest? */
static bool has_left(const struct conn *c)
{
    if (c->state != CONN_BUSY && c->state != CONN_SENDING)
        return false;
    return c->exchange->in.ended && !c->exchange->tunnel &&
           loop_now(c->front->loop) - c->whole_ms > GONE_AFTER_MS;
}

static void on_ended(struct stream *s, int status)
{
    struct conn *c = container_of(s, struct conn, stream);
    if (status != UV_EOF) {
        conn_abandon(c, false);
        return;
    }
    c->half_closed = true;
    if (has_left(c)) {
        conn_abandon(c, false);
    } else if (c->state == CONN_LINGER) {
        if (stream_queued(s) == 0)
            conn_close(c, false);
    } else {
        settle_half_closed(c, s->in.len > 0);
    }
}

static void on_drained(struct stream *s)
{
    struct conn *c = container_of(s, struct conn, stream);
    if (c->state == CONN_LINGER && c->half_closed)
        conn_close(c, false);
    else if (c->state == CONN_IDLE && s->in.len)
        stream_poke(s);
    else
        outgoing_eased(c);
}

static void on_eased(struct stream *s)
{
    outgoing_eased(container_of(s, struct conn, stream));
}

static void on_gone(struct stream *s)
{
    struct conn *c = container_of(s, struct conn, stream);
    struct front *f = c->front;
    xfree(c);
    f->alive--;
    f->left(f);
}

static const struct stream_ops conn_ops = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .gone = on_gone,
    .eased = on_eased,
};

/* ------------------------------------------------------------------- public */

struct conn *conn_new(struct front *f, bool is_unix)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    c->front = f;
    int rc = is_unix ? stream_init_unix(&c->stream, f->loop, &conn_ops)
                     : stream_init_tcp(&c->stream, f->loop, &conn_ops);
    if (rc) {
        xfree(c);
        return NULL;
    }
    list_init(&c->node);
    list_add(&f->idle, &c->node);
    f->open++;
    f->alive++;
    return c;
}

void conn_start(struct conn *c)
{
    conn_set_deadline(c, idle_ms(c));
    stream_start(&c->stream, MAX(c->front->limits.head_bytes, (size_t)IN_LIMIT_MIN));
}

void conn_widen(struct conn *c, size_t head_bytes)
{
    c->stream.in_limit = MAX(c->stream.in_limit, head_bytes);
}

void conn_answered(struct conn *c, unsigned status, uint64_t body_bytes, bool close)
{
    bool is_whole = c->exchange->in.ended;
    bool was_choked = c->exchange->in.choked;
    uint64_t unread = 0;
    close = !incoming_skippable(c->exchange, &unread) || close;
    conn_report(c, status, body_bytes);
    conn_end_exchange(c);
    if (close) {
        farewell_begin(c, !is_whole);
        return;
    }
    c->rest = unread;
    if (unread) {
        conn_set_state(c, CONN_REST);
        conn_set_deadline(c, c->front->limits.body_timeout_ms);
    } else {
        next(c);
    }
    if (c->in_data)
        return;
    if (c->stream.in.len || was_choked)
        stream_poke(&c->stream);
    else if (c->half_closed)
        farewell_begin(c, false);
}
