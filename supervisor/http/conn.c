#include "http/conn.h"

#include <assert.h>

#include "http/request.h"

enum {
    IN_LIMIT_MIN = 16 * 1024, /* pipelined bytes that are kept while a request is served */
    SEND_HIGH = 64 * 1024,    /* unsent bytes beyond which the next request waits */
    GONE_AFTER_MS = 100,
    DRAIN_MS = 1000, /* for a request that is under way when draining begins */
    LINGER_MS = 1000,
    LINGER_BYTES = 256 * 1024,
    BLANK_LINES_MAX = 2, /* RFC 9112, 2.2: some clients send one too many */
    REFUSED_MAX = 256,   /* connections that may be told that there are too many */
};

/* ------------------------------------------------------------------- states */

static const unsigned char may_become[CONN_CLOSED + 1] = {
    [CONN_IDLE] =
        1 << CONN_HEAD | 1 << CONN_BODY | 1 << CONN_BUSY | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_HEAD] = 1 << CONN_BODY | 1 << CONN_BUSY | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_BODY] = 1 << CONN_BUSY | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_BUSY] = 1 << CONN_IDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
    [CONN_LINGER] = 1 << CONN_CLOSED,
};

/* The only writer of `state`. */
static void set_state(struct conn *c, enum conn_state state)
{
    assert(may_become[c->state] & 1 << state);
    c->state = state;
    list_del(&c->node);
    if (state == CONN_IDLE)
        list_add(&c->front->idle, &c->node);
    else if (state != CONN_CLOSED)
        list_add(&c->front->active, &c->node);
}

static void conn_close(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    set_state(c, CONN_CLOSED);
    c->front->open--;
    timer_stop(c->front->loop, &c->timer);
    timer_stop(c->front->loop, &c->send);
    if (reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
}

/* The exchange is over, answered or not. */
static void end_exchange(struct conn *c)
{
    struct exchange *x = c->exchange;
    c->exchange = NULL;
    if (x)
        exchange_give(c->front, x);
}

static void report_answer(struct conn *c, unsigned status, uint64_t body_bytes)
{
    struct http_handler *handler = c->front->handler;
    uint64_t took_us = (loop_clock_ns() - c->exchange->handed_ns) / 1000;
    if (handler->answered)
        handler->answered(handler, c->exchange, status, body_bytes, took_us);
}

/* Nobody waits for an answer any more. */
static void abandon(struct conn *c, bool reset)
{
    if (c->state == CONN_BUSY) {
        struct http_handler *handler = c->front->handler;
        report_answer(c, 499, 0);
        handler->gone(handler, c->exchange);
    }
    end_exchange(c);
    conn_close(c, reset);
}

void conn_drop(struct conn *c)
{
    abandon(c, false);
}

/* ------------------------------------------------------------------- timers */

static void on_deadline(struct timer *timer);

static void set_deadline(struct conn *c, uint64_t ms)
{
    timer_start(c->front->loop, &c->timer, ms, on_deadline);
}

static uint64_t idle_ms(const struct conn *c)
{
    uint64_t ms = c->front->limits.idle_timeout_ms;
    return c->front->draining ? MIN(ms, (uint64_t)DRAIN_MS) : ms;
}

void conn_hurry(struct conn *c)
{
    if (c->state == CONN_IDLE)
        set_deadline(c, idle_ms(c));
}

static void on_send_check(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, send);
    uint64_t limit = c->front->limits.send_timeout_ms;
    uint64_t now = loop_now(c->front->loop);
    if (stream_queued(&c->stream) == 0)
        return;
    if (stream_taken(&c->stream) != c->send_taken) {
        c->send_taken = stream_taken(&c->stream);
        c->send_since_ms = now;
    }
    uint64_t waited = now - c->send_since_ms;
    if (waited >= limit)
        abandon(c, true);
    else
        timer_start(c->front->loop, &c->send, limit - waited, on_send_check);
}

/*
 * Before something is written.  The timer is left running when all has been sent: it
 * looks once for nothing then, which is cheaper than starting it for every answer.
 */
static void watch_sending(struct conn *c)
{
    if (stream_queued(&c->stream) == 0) {
        c->send_since_ms = loop_now(c->front->loop);
        c->send_taken = stream_taken(&c->stream);
    }
    if (!timer_runs(&c->send))
        timer_start(c->front->loop, &c->send, c->front->limits.send_timeout_ms, on_send_check);
}

/* ------------------------------------------------------------------- ending */

/* All is said: shuts the write side and lingers. */
static void finish(struct conn *c)
{
    set_state(c, CONN_LINGER);
    if (!c->half_closed) /* else nothing is left to wait for but the write queue */
        stream_shutdown(&c->stream);
    set_deadline(c, c->half_closed ? 0 : LINGER_MS);
    if (!c->in_data && c->stream.in.len)
        stream_poke(&c->stream);
}

/* The usual answer to what is refused, unless the handler has a better one. */
static struct http_answer refusal_answer(struct conn *c, const struct refusal *why,
                                         struct slice id)
{
    struct front *f = c->front;
    struct http_answer answer;
    if (c->exchange && c->exchange->request.method.len && f->handler->refusing &&
        f->handler->refusing(f->handler, &c->exchange->request, why, &answer))
        return answer;
    buf_clear(&f->scratch);
    response_problem(&f->scratch, why->status, slice_of(why->detail), (struct slice){0}, id,
                     (struct slice){0});
    return (struct http_answer){
        .status = why->status,
        .content_type = SLICE("application/problem+json"),
        .body = buf_slice(&f->scratch),
    };
}

/* Answers a request that the handler never sees, and ends the connection. */
static void refuse(struct conn *c, const struct refusal *why, bool to_head)
{
    struct front *f = c->front;
    char id[REQUEST_ID_LEN];
    bool has_id = c->exchange && c->exchange->request.id.len;
    struct http_framing framing = {
        .to_head = to_head,
        .close = true,
        .date = front_date(f),
        .id = has_id ? c->exchange->request.id : front_make_id(f, id),
    };
    struct http_answer answer = refusal_answer(c, why, framing.id);
    watch_sending(c);
    response_write(stream_out(&c->stream), &answer, &framing);
    end_exchange(c);
    finish(c);
    if (f->handler->refused)
        f->handler->refused(f->handler, ip_plain(slice_of(c->ip)), why);
}

static void on_deadline(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, timer);
    bool unsent = stream_queued(&c->stream) > 0;
    switch (c->state) {
    case CONN_IDLE:
    case CONN_LINGER:
        if (unsent) /* the other timer ends it when the client takes nothing */
            set_deadline(c, c->state == CONN_IDLE ? idle_ms(c) : LINGER_MS);
        else
            conn_close(c, false);
        break;
    case CONN_HEAD:
        refuse(c, &(struct refusal){408, "The request's header did not arrive in time."},
               false);
        break;
    case CONN_BODY:
        refuse(c, &(struct refusal){408, "The request's body did not arrive in time."}, false);
        break;
    case CONN_BUSY: /* left running from before */
    case CONN_CLOSED:
        break;
    }
}

/* ------------------------------------------------------------------ reading */

static void hand_over(struct conn *c)
{
    struct exchange *x = c->exchange;
    struct http_handler *handler = c->front->handler;
    x->request.body = buf_slice(&x->body);
    if (x->is_chunked)
        request_set_length(&x->request, &x->arena);
    x->handed_ns = loop_clock_ns();
    c->handed_ms = loop_now(c->front->loop);
    set_state(c, CONN_BUSY);
    handler->request(handler, x);
}

/* The head is read: what does it say of the body?  False: refused. */
static bool begin_body(struct conn *c, const struct head *head, bool body_waits,
                       struct refusal *why)
{
    struct exchange *x = c->exchange;
    x->is_chunked = head->chunked;
    x->body_left = head->length;
    if (head->length > c->front->limits.body_bytes) {
        *why = (struct refusal){413, "The request's body is larger than max_body of [server]."};
        return false;
    }
    if (!x->is_chunked && x->body_left == 0) {
        hand_over(c);
        return true;
    }
    if (head->expects_continue && !body_waits)
        stream_write(&c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    set_state(c, CONN_BODY);
    set_deadline(c, c->front->limits.body_timeout_ms);
    return true;
}

/* The head is complete; `body_waits`: bytes that follow it are here already. */
static void begin(struct conn *c, struct slice raw, bool body_waits)
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
        refuse(c, &why, x->to_head);
        return;
    }
    x->keep_alive = head.keep_alive;
    if (!begin_body(c, &head, body_waits, &why))
        refuse(c, &why, x->to_head);
}

static size_t take_head(struct conn *c, struct slice bytes)
{
    struct refusal why;
    enum scan_verdict verdict = head_scan(&c->scan, bytes, &c->front->limits, &why);
    if (verdict == SCAN_REFUSED) {
        refuse(c, &why, slice_starts(bytes, SLICE("HEAD ")));
        return 0;
    }
    if (verdict == SCAN_DONE) {
        size_t len = c->scan.at;
        begin(c, (struct slice){bytes.ptr, len}, len < bytes.len);
        return len;
    }
    if (c->state == CONN_IDLE) {
        set_state(c, CONN_HEAD);
        set_deadline(c, c->front->limits.header_timeout_ms);
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

static size_t take_chunked(struct conn *c, struct slice bytes)
{
    struct exchange *x = c->exchange;
    size_t used;
    switch (chunked_read(&x->chunked, bytes, c->front->limits.body_bytes, &x->body, &used)) {
    case CHUNKED_MORE:
        set_deadline(c, c->front->limits.body_timeout_ms);
        break;
    case CHUNKED_DONE:
        hand_over(c);
        break;
    case CHUNKED_BAD:
        refuse(c, &(struct refusal){400, "The chunked body is malformed."}, x->to_head);
        break;
    case CHUNKED_TOO_LARGE:
        refuse(
            c,
            &(struct refusal){413, "The request's body is larger than max_body of [server]."},
            x->to_head);
        break;
    case CHUNKED_TRAILER:
        refuse(
            c,
            &(struct refusal){431, "The trailer section is larger than max_head of [server]."},
            x->to_head);
        break;
    }
    return used;
}

static size_t take_body(struct conn *c, struct slice bytes)
{
    struct exchange *x = c->exchange;
    if (x->is_chunked)
        return take_chunked(c, bytes);
    size_t len = (size_t)MIN(x->body_left, (uint64_t)bytes.len);
    buf_append(&x->body, bytes.ptr, len);
    x->body_left -= len;
    if (x->body_left)
        set_deadline(c, c->front->limits.body_timeout_ms);
    else
        hand_over(c);
    return len;
}

static size_t discard(struct conn *c, struct slice bytes)
{
    c->discarded += bytes.len;
    if (c->discarded > LINGER_BYTES) {
        if (stream_queued(&c->stream) == 0)
            conn_close(c, false);
        else
            stream_pause(&c->stream);
    }
    return bytes.len;
}

static size_t take(struct conn *c, struct slice bytes)
{
    switch (c->state) {
    case CONN_IDLE:
        return take_first(c, bytes);
    case CONN_HEAD:
        return take_head(c, bytes);
    case CONN_BODY:
        return take_body(c, bytes);
    case CONN_LINGER:
        return discard(c, bytes);
    default:
        return 0;
    }
}

/* The client sends no more: what is not whole now never will be. */
static void settle_half_closed(struct conn *c, bool bytes_left)
{
    if (c->state == CONN_HEAD || c->state == CONN_BODY)
        refuse(c, &(struct refusal){400, "The request ends before it is complete."}, false);
    else if (c->state == CONN_IDLE && !(bytes_left && is_choked(c)))
        finish(c);
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

static void on_ended(struct stream *s, int status)
{
    struct conn *c = container_of(s, struct conn, stream);
    if (status != UV_EOF) {
        abandon(c, false);
        return;
    }
    c->half_closed = true;
    if (c->state == CONN_BUSY) {
        if (loop_now(c->front->loop) - c->handed_ms > GONE_AFTER_MS)
            abandon(c, false);
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
};

/* ------------------------------------------------------------------- public */

/* Closes the connection that has been idle for longest. */
static bool evict_idle(struct front *f)
{
    list_each (at, &f->idle) {
        struct conn *c = container_of(at, struct conn, node);
        if (stream_queued(&c->stream) == 0) {
            conn_close(c, false);
            return true;
        }
    }
    return false;
}

static bool peer_trusted(const struct conn *c, bool is_unix)
{
    struct ip ip;
    if (is_unix)
        return c->front->trust.unix_peers;
    return ip_parse(slice_of(c->ip), &ip) && trust_has(&c->front->trust, &ip);
}

static struct conn *conn_new(struct front *f, bool is_unix)
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

void conn_accept(struct front *f, struct listener *listener)
{
    bool full = f->open >= f->limits.connections && !evict_idle(f);
    struct conn *c = conn_new(f, listener->is_unix);
    if (!c)
        return;
    if (listener_accept(listener, &c->stream)) {
        conn_close(c, false);
        return;
    }
    if (full && f->open > f->limits.connections + REFUSED_MAX) {
        conn_close(c, true);
        return;
    }
    stream_peer(&c->stream, c->ip, sizeof(c->ip));
    c->trusted = peer_trusted(c, listener->is_unix);
    set_deadline(c, idle_ms(c));
    stream_start(&c->stream, MAX(f->limits.head_bytes, (size_t)IN_LIMIT_MIN));
    if (full)
        refuse(c, &(struct refusal){503, "This server has as many connections as it accepts."},
               false);
}

void conn_widen(struct conn *c, size_t head_bytes)
{
    c->stream.in_limit = MAX(c->stream.in_limit, head_bytes);
}

/* What only the connection knows of the answer that is to be written now. */
static struct http_framing frame_answer(struct conn *c)
{
    const struct exchange *x = c->exchange;
    assert(c->state == CONN_BUSY);
    watch_sending(c);
    return (struct http_framing){
        .to_head = x->to_head,
        .close = !x->keep_alive || c->front->draining,
        .keep_alive = x->request.version_minor == 0,
        .id = x->request.id,
    };
}

/* It is written. */
static void end_answer(struct conn *c, unsigned status, size_t body, bool close)
{
    report_answer(c, status, body);
    end_exchange(c);
    if (close) {
        finish(c);
        return;
    }
    set_state(c, CONN_IDLE);
    set_deadline(c, idle_ms(c));
    if (c->in_data)
        return;
    if (c->stream.in.len)
        stream_poke(&c->stream);
    else if (c->half_closed)
        finish(c);
}

void conn_answer(struct conn *c, const struct http_answer *answer)
{
    struct http_framing framing = frame_answer(c);
    framing.date = front_date(c->front);
    size_t body = response_write(stream_out(&c->stream), answer, &framing);
    end_answer(c, answer->status, body, framing.close);
}

static void on_loan_end(void *owner)
{
    stored_drop(owner);
}

void conn_send(struct conn *c, const struct stored_sending *sending)
{
    struct http_framing framing = frame_answer(c);
    size_t body_bytes;
    struct slice body = stored_write(stream_out(&c->stream), sending, &framing, &body_bytes);
    if (body.len)
        stream_lend(&c->stream, &(struct loan){.bytes = body,
                                               .end = on_loan_end,
                                               .owner = stored_hold(sending->stored)});
    end_answer(c, sending->not_modified ? 304 : sending->stored->status, body_bytes,
               framing.close);
}
