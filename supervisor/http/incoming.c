#include "http/incoming.h"

#include <assert.h>

#include "http/farewell.h"
#include "http/request.h"

enum { REST_MAX = 256 * 1024 /* of an unwanted body: more is not worth the connection */ };

static const struct refusal malformed = {400, "The chunked body is malformed."};
static const struct refusal cut_off = {400, "The request ends before it is complete."};
static const struct refusal late = {408, "The request's body did not arrive in time."};
static const struct refusal too_large = {
    413, "The request's body is larger than max_body of [server]."};
static const struct refusal trailer_too_large = {
    431, "The trailer section is larger than max_head of [server]."};

/* ------------------------------------------------------------------ reading */

static size_t held(const struct exchange *x)
{
    return x->body.len - x->in.at;
}

static const struct refusal *absorb_chunked(struct conn *c, struct slice bytes, size_t *used)
{
    struct exchange *x = c->exchange;
    switch (chunked_read(&x->in.chunked, bytes, c->front->limits.body_bytes, &x->body, used)) {
    case CHUNKED_MORE:
        return NULL;
    case CHUNKED_DONE:
        x->in.ended = true;
        if (x->trailer.len)
            x->in.trailers =
                chunked_trailers(buf_slice(&x->trailer), &x->arena, &x->in.trailer_count);
        return NULL;
    case CHUNKED_TOO_LARGE:
        return &too_large;
    case CHUNKED_TRAILER:
        return &trailer_too_large;
    case CHUNKED_BAD:
        break;
    }
    return &malformed;
}

/* Takes what belongs to the body; returns why it is refused, or NULL. */
static const struct refusal *absorb(struct conn *c, struct slice bytes, size_t *used)
{
    struct exchange *x = c->exchange;
    buf_consume(&x->body, x->in.at);
    x->in.at = 0;
    if (x->in.is_chunked)
        return absorb_chunked(c, bytes, used);
    size_t len = x->tunnel ? bytes.len : (size_t)MIN(x->in.left, (uint64_t)bytes.len);
    buf_append(&x->body, bytes.ptr, len);
    *used = len;
    if (!x->tunnel) {
        x->in.left -= len;
        x->in.ended = x->in.left == 0;
    }
    return NULL;
}

static void expect_more(struct conn *c)
{
    if (!c->exchange->tunnel)
        conn_set_deadline(c, c->front->limits.body_timeout_ms);
}

/* After the handler had its turn, with an exchange that may be over. */
static void choke_if_full(struct conn *c, struct exchange *x)
{
    if (c->exchange != x || c->state != CONN_BUSY || x->in.ended || held(x) < EXCHANGE_INLINE)
        return;
    x->in.choked = true;
    stream_pause(&c->stream);
}

static void tell(struct conn *c)
{
    struct http_handler *handler = c->front->handler;
    struct exchange *x = c->exchange;
    if (x->in.ended)
        c->whole_ms = loop_now(c->front->loop);
    handler->body(handler, x);
    choke_if_full(c, x);
}

/* ------------------------------------------------------------------- begins */

static void hand_over_whole(struct conn *c)
{
    struct exchange *x = c->exchange;
    x->request.body = buf_slice(&x->body);
    if (x->in.is_chunked)
        request_set_length(&x->request, &x->arena);
    conn_hand_over(c);
}

static void hand_over_in_pieces(struct conn *c)
{
    struct exchange *x = c->exchange;
    x->in.in_pieces = true;
    x->request.more = true;
    if (x->in.is_chunked)
        request_drop_length(&x->request);
    if (!x->in.expects)
        expect_more(c); /* before it is handed over: that may be its end */
    conn_hand_over(c);
    choke_if_full(c, x);
}

static size_t begin_pieces(struct conn *c, struct slice behind)
{
    struct exchange *x = c->exchange;
    size_t used = 0;
    x->in.chunked.kept = &x->trailer;
    x->in.chunked.trailer_max = (uint32_t)MIN(c->front->limits.head_bytes, (size_t)UINT32_MAX);
    const struct refusal *why = behind.len ? absorb(c, behind, &used) : NULL;
    if (why)
        farewell_refuse(c, why, x->to_head);
    else if (x->in.ended && x->body.len <= EXCHANGE_INLINE && !x->in.trailer_count)
        hand_over_whole(c); /* it came with its head: its length is known, too */
    else
        hand_over_in_pieces(c);
    return used;
}

size_t incoming_begin(struct conn *c, const struct head *head, struct slice behind)
{
    struct exchange *x = c->exchange;
    struct incoming *in = &x->in;
    in->is_chunked = head->chunked;
    in->left = head->length;
    if (head->length > c->front->limits.body_bytes) {
        farewell_refuse(c, &too_large, x->to_head);
        return 0;
    }
    if (!in->is_chunked && in->left == 0) {
        in->ended = true;
        hand_over_whole(c);
        return 0;
    }
    in->expects = head->expects_continue && behind.len == 0;
    if (c->front->handler->body && (in->is_chunked || in->left > EXCHANGE_INLINE))
        return begin_pieces(c, behind);
    if (in->expects)
        stream_write(&c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    in->expects = false;
    conn_set_state(c, CONN_BODY);
    expect_more(c);
    return 0;
}

/* ------------------------------------------------------------------ goes on */

/* The body that is being collected. */
static void collected(struct conn *c, const struct refusal *why)
{
    if (why)
        farewell_refuse(c, why, c->exchange->to_head);
    else if (c->exchange->in.ended)
        hand_over_whole(c);
    else
        expect_more(c);
}

size_t incoming_take(struct conn *c, struct slice bytes)
{
    struct exchange *x = c->exchange;
    size_t used = 0;
    if (x->in.ended || x->in.choked || bytes.len == 0)
        return 0;
    const struct refusal *why = absorb(c, bytes, &used);
    x->in.expects = false;
    if (c->state == CONN_BODY) {
        collected(c, why);
    } else if (why) {
        farewell_refuse_body(c, why);
    } else {
        if (!x->in.ended)
            expect_more(c);
        tell(c);
    }
    return used;
}

void incoming_cut(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (x->in.ended)
        return;
    if (c->state == CONN_BODY) {
        farewell_refuse(c, &cut_off, x->to_head);
    } else if (x->tunnel) {
        x->in.ended = true;
        tell(c);
    } else {
        farewell_refuse_body(c, &cut_off);
    }
}

void incoming_deadline(struct conn *c)
{
    const struct incoming *in = &c->exchange->in;
    if (c->state == CONN_BODY)
        farewell_refuse(c, &late, c->exchange->to_head);
    else if (!in->ended && !in->choked && !in->expects && !c->exchange->tunnel)
        farewell_refuse_body(c, &late);
}

/* --------------------------------------------------------------------- ends */

bool incoming_skippable(const struct exchange *x, uint64_t *rest)
{
    *rest = x->in.ended ? 0 : x->in.left;
    /* A client that was not told to continue may leave the body out and go on. */
    return x->in.ended || !(x->in.is_chunked || x->in.expects || x->in.left > REST_MAX);
}

size_t incoming_skip(struct conn *c, struct slice bytes)
{
    size_t len = (size_t)MIN(c->rest, (uint64_t)bytes.len);
    c->rest -= len;
    if (c->rest)
        conn_set_deadline(c, c->front->limits.body_timeout_ms);
    return len;
}

static void on_tell(struct task *task)
{
    struct exchange *x = container_of(task, struct exchange, tell);
    if (!x->in.ended)
        incoming_cut(x->conn);
}

void incoming_open_tunnel(struct conn *c)
{
    struct exchange *x = c->exchange;
    x->tunnel = true;
    x->in.ended = false;
    x->in.in_pieces = true;
    task_init(&x->tell, on_tell);
    if (c->in_data)
        return;
    if (c->stream.in.len)
        stream_poke(&c->stream);
    else if (c->half_closed)
        loop_defer(c->front->loop, &x->tell);
}

/* ---------------------------------------------------------- for the handler */

struct slice exchange_body(const struct exchange *x)
{
    if (!x->in.in_pieces || held(x) == 0)
        return (struct slice){0};
    return slice_from(buf_slice(&x->body), x->in.at);
}

/* Its beginning is kept for an error page. */
static void keep_start(struct exchange *x, size_t bytes)
{
    struct slice *start = &x->request.start;
    size_t len = MIN(bytes, EXCHANGE_SHOWN - start->len);
    if (len == 0 || x->tunnel)
        return;
    char *all = start->ptr ? (char *)start->ptr : arena_alloc(&x->arena, EXCHANGE_SHOWN);
    memcpy(all + start->len, x->body.ptr + x->in.at, len);
    *start = (struct slice){all, start->len + len};
}

void exchange_consume(struct exchange *x, size_t bytes)
{
    struct conn *c = x->conn;
    assert(bytes <= held(x));
    keep_start(x, bytes);
    x->in.at += bytes;
    if (held(x) == 0) {
        x->in.at = 0;
        buf_clear(&x->body);
    }
    if (!x->in.choked || held(x) >= EXCHANGE_INLINE / 2)
        return;
    x->in.choked = false;
    expect_more(c);
    stream_poke(&c->stream);
}

bool exchange_body_ended(const struct exchange *x)
{
    return x->in.ended;
}

const struct field *exchange_trailers(const struct exchange *x, size_t *count)
{
    *count = x->in.ended ? x->in.trailer_count : 0;
    return x->in.trailers;
}

void exchange_continue(struct exchange *x)
{
    if (!x->in.expects || x->out.begun)
        return;
    x->in.expects = false;
    stream_write(&x->conn->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    expect_more(x->conn);
}
