#include "app/relay.h"

#include <stdio.h>

#include "app/identity.h"
#include "app/line.h"
#include "app/reply.h"
#include "app/spool.h"

static struct relay *relay_of(const struct call *call)
{
    return container_of(call, struct relay, call);
}

void relay_give_up(struct relay *r)
{
    if (r->submitted)
        call_cancel(&r->call, "disconnect");
    outflow_gone(&r->outflow);
    spool_free(r->spool);
    r->spool = NULL;
}

/* Nodey's own words for a call that is over, or was never begun. */
static void fail(struct relay *r, const struct pool *pool, const struct call_failure *why)
{
    relay_give_up(r);
    gateway_fail(r->gateway, r->exchange, pool, &(struct call_reply){.failure = why});
}

/* ---------------------------------------------------------------- the answer */

static void plain_done(struct relay *r, const struct call_reply *reply)
{
    spool_free(r->spool);
    r->spool = NULL;
    if (r->outflow.begun)
        outflow_done(&r->outflow, reply);
    else if (reply->failure || reply->frame->kind == FRAME_ERROR)
        gateway_fail(r->gateway, r->exchange, r->pool, reply);
    else
        gateway_respond(r->gateway, r->exchange, r->pool, !r->call.idempotent, reply->frame);
}

/* Did the worker do the handshake of a WebSocket itself, or is it another protocol? */
static bool wants_bytes(const struct relay *r, const struct frame *head)
{
    const struct http_request *req = exchange_request(r->exchange);
    const struct ready *ready = pool_declaration(r->pool);
    if (!slice_is(req->upgrade, "websocket"))
        return true;
    if (ready && !(ready->features & FEATURE_WS))
        return true;
    struct http_answer answer;
    struct err err;
    if (!reply_read_head(head, exchange_arena(r->exchange), &answer, &err))
        return true; /* which says so */
    for (size_t i = 0; i < answer.header_count; i++)
        if (slice_eq_nocase(answer.headers[i].name, SLICE("sec-websocket-accept")))
            return true;
    return false;
}

static void plain_part(struct relay *r, const struct frame *frame, struct slice body)
{
    if (frame->kind == FRAME_RESPONSE && frame->status == 101 && r->upgrading) {
        if (wants_bytes(r, frame))
            tunnel_begin(r, frame, body);
        else
            socket_begin(r, frame);
        return;
    }
    if (!outflow_part(&r->outflow, frame, body, NULL))
        return;
    if (frame->kind == FRAME_RESPONSE && !r->call.idempotent && frame->status < 400)
        cached_wrote(&r->gateway->cached, exchange_request(r->exchange));
}

/* ------------------------------------------------------------------ the body */

static bool pump_spool(struct relay *r)
{
    size_t room;
    while ((room = call_room(&r->call)) > 0) {
        struct slice piece = spool_read(r->spool, r->spool_at, room);
        if (!piece.len)
            break;
        r->spool_at += piece.len;
        call_send(&r->call, piece);
    }
    return r->spool_at == spool_size(r->spool);
}

static bool pump_exchange(struct relay *r)
{
    struct slice body;
    size_t room;
    exchange_continue(r->exchange);
    while ((body = exchange_body(r->exchange)).len && (room = call_room(&r->call)) > 0) {
        body.len = MIN(body.len, room);
        r->call.fixed = true;
        call_send(&r->call, body);
        exchange_consume(r->exchange, body.len);
    }
    return body.len == 0 && exchange_body_ended(r->exchange);
}

static const struct call_failure spool_lost = {
    .code = "internal",
    .status = 500,
    .text = "the request's body cannot be read back from nodey's data_dir",
};

void relay_pump(struct relay *r)
{
    if (!r->submitted || r->upgrading || !r->call.slot || !r->call.streams)
        return;
    bool ended = r->spool ? pump_spool(r) : pump_exchange(r);
    if (r->spool && r->spool->trouble) {
        fail(r, r->pool, &spool_lost);
        return;
    }
    if (!ended || r->call.body_ended)
        return;
    struct frame_end end = {0};
    if (!r->spool)
        end.trailers = exchange_trailers(r->exchange, &end.trailer_count);
    call_send_end(&r->call, &end);
}

static void plain_drained(struct relay *r)
{
    outflow_drained(&r->outflow);
}

/* ------------------------------------------------------------ the request line */

static bool has(const struct ready *ready, enum ready_feature feature)
{
    return !ready || (ready->features & feature) != 0;
}

/* Is the worker told that the client would change the protocol? */
static bool offers_upgrade(const struct http_request *req, const struct ready *ready)
{
    if (!req->upgrade.len || req->more)
        return false;
    return has(ready, FEATURE_UPGRADE) ||
           (has(ready, FEATURE_WS) && slice_is(req->upgrade, "websocket"));
}

static void set_line(struct relay *r, const struct router_match *match,
                     const struct line_body *body)
{
    r->line = line_write(exchange_request(r->exchange), match, body, &r->gateway->line,
                         exchange_arena(r->exchange));
}

/* The whole body in the line, as a worker without `stream` needs it.  False: it is too long. */
static bool write_whole(struct relay *r, const struct router_match *match, struct slice body)
{
    set_line(r, match,
             &(struct line_body){.bytes = body, .length_known = r->spool, .length = body.len});
    r->call.streams = false;
    return r->line.len > 0;
}

static void write_streaming(struct relay *r, const struct router_match *match)
{
    struct line_body body = {.more = !r->upgrading,
                             .upgrade = r->upgrading,
                             .length_known = r->spool,
                             .length = r->spool ? spool_size(r->spool) : 0};
    set_line(r, match, &body);
    r->call.streams = true;
}

/* Reads what is spooled into the arena; it fits a line.  Less than all: there is trouble. */
static struct slice whole_spool(struct relay *r)
{
    struct buf all = {0};
    uint64_t size = spool_size(r->spool);
    while (all.len < size) {
        struct slice piece = spool_read(r->spool, all.len, (size_t)size - all.len);
        if (!piece.len)
            break;
        buf_add(&all, piece);
    }
    struct slice body = arena_copy(exchange_arena(r->exchange), buf_slice(&all));
    buf_deinit(&all);
    return body;
}

/* Is the body, which is here, to be sent in the line? */
static bool fits_line(const struct relay *r, const struct ready *ready, uint64_t max_line)
{
    uint64_t size = r->spool ? spool_size(r->spool) : 0;
    if (size <= EXCHANGE_INLINE)
        return true;
    return !(ready && has(ready, FEATURE_STREAM)) && size <= max_line;
}

/*
 * Makes the line for a route's worker.  NULL, or why it cannot have this request.  A worker
 * that nobody has seen yet may get a body in pieces: see plain_unfit().
 */
static const struct call_failure *write_line(struct relay *r, const struct router_match *match)
{
    const struct http_request *req = exchange_request(r->exchange);
    const struct route *route = match->target;
    const struct ready *ready = pool_declaration(route->pool);
    uint64_t max_line = route->pool->config->max_line;
    r->upgrading = offers_upgrade(req, ready);
    if (!r->upgrading && !(req->more && !r->spool)) {
        if (fits_line(r, ready, max_line)) { /* only then is all of it read into memory */
            struct slice body = r->spool ? whole_spool(r) : req->body;
            if (r->spool && r->spool->trouble)
                return &spool_lost;
            if (write_whole(r, match, body))
                return NULL;
        }
        if (!has(ready, FEATURE_STREAM))
            return &line_too_long;
        if (!r->spool) {
            r->spool = spool_new(r->gateway->loop, r->gateway->data_dir, NULL, NULL);
            spool_add(r->spool, req->body);
            spool_end(r->spool);
        }
    }
    write_streaming(r, match);
    return r->line.len ? NULL : &line_too_long;
}

/* ----------------------------------------------------------------- the call */

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    struct relay *r = relay_of(call);
    (void)w;
    (void)nested; /* requests never are */
    r->spool_at = 0;
    frame_write_request(out, id, left_ms, r->line);
}

static const struct call_failure *on_unfit(struct call *call, const struct worker *w)
{
    bool fits = !call->streams || relay_of(call)->upgrading || worker_has(w, FEATURE_STREAM);
    return fits ? NULL : &line_too_long;
}

static void on_part(struct call *call, const struct frame *frame, struct slice body)
{
    struct relay *r = relay_of(call);
    r->way->part(r, frame, body);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct relay *r = relay_of(call);
    r->way->done(r, reply);
}

static void on_room(struct call *call)
{
    struct relay *r = relay_of(call);
    r->way->room(r);
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct relay *r = relay_of(call);
    identity_describe(exchange_request(r->exchange), about);
}

static void on_identify(const struct call *call, struct call_identity *id)
{
    const struct relay *r = relay_of(call);
    identity_read(r->gateway, exchange_request(r->exchange), exchange_arena(r->exchange), id);
}

static const struct call_ops call_ops = {
    .write = on_write,
    .unfit = on_unfit,
    .done = on_done,
    .part = on_part,
    .room = on_room,
    .describe = on_describe,
    .identify = on_identify,
};

static void submit(struct relay *r, const struct router_match *match)
{
    const struct route *route = match->target;
    const struct call_failure *refused = write_line(r, match);
    if (!refused) {
        r->pool = route->pool;
        r->outflow.pool = route->pool;
        r->call.size = r->line.len;
        r->submitted = true;
        loop_spin(r->gateway->loop);
        refused = pool_submit(route->pool, &r->call, route->timeout_ms);
    }
    if (!refused) /* the relay may have ended by now */
        return;
    r->submitted = false;
    fail(r, route->pool, refused);
}

/* ------------------------------------------------------------------ spooling */

static const struct call_failure not_kept = {
    .code = "resource_exhausted",
    .status = 507,
    .text = "the request's body cannot be kept in nodey's data_dir",
};

static const struct call_failure route_gone = {
    .code = "unavailable",
    .status = 503,
    .retry_after_s = 1,
    .text = "what served this path is gone since the request began",
};

/* Routes and pools may be others by now. */
static void submit_spooled(struct relay *r)
{
    struct router_match match = {0};
    if (gateway_find(r->gateway, r->exchange, r->only, &match))
        submit(r, &match);
    else
        fail(r, NULL, &route_gone);
}

static void collect(struct relay *r)
{
    struct slice body;
    while (spool_wants(r->spool) && (body = exchange_body(r->exchange)).len) {
        spool_add(r->spool, body);
        exchange_consume(r->exchange, body.len);
    }
    if (!r->spool->ended && !exchange_body(r->exchange).len && exchange_body_ended(r->exchange))
        spool_end(r->spool);
    if (r->spool->trouble) {
        log_line(LOG_ERROR, "nodey", "a request's body cannot be kept in %s: %s",
                 r->gateway->data_dir, loop_strerror(r->spool->trouble));
        fail(r, NULL, &not_kept);
    } else if (spool_whole(r->spool)) {
        submit_spooled(r);
    }
}

static void on_spooled(void *owner)
{
    collect(owner);
}

static void plain_body(struct relay *r)
{
    if (r->submitted)
        relay_pump(r);
    else
        collect(r);
}

/* ------------------------------------------------------------------ beginning */

static const struct relay_way plain = {
    .part = plain_part,
    .done = plain_done,
    .room = relay_pump,
    .body = plain_body,
    .drained = plain_drained,
    .gone = relay_give_up,
};

static void on_client_gone(struct pending *pending)
{
    struct relay *r = container_of(pending, struct relay, pending);
    r->way->gone(r);
}

static void on_client_body(struct pending *pending)
{
    struct relay *r = container_of(pending, struct relay, pending);
    r->way->body(r);
}

static void on_client_drained(struct pending *pending)
{
    struct relay *r = container_of(pending, struct relay, pending);
    r->way->drained(r);
}

/* Methods that ask and do not do: they may be started twice. */
static bool is_safe(struct slice method)
{
    return slice_is(method, "GET") || slice_is(method, "HEAD") || slice_is(method, "OPTIONS");
}

static struct relay *relay_new(struct gateway *g, struct exchange *x, struct slice only)
{
    struct relay *r = arena_alloc(exchange_arena(x), sizeof(*r));
    *r = (struct relay){
        .pending = {on_client_gone, on_client_body, on_client_drained},
        .way = &plain,
        .gateway = g,
        .exchange = x,
        .only = only,
    };
    r->outflow = (struct outflow){.gateway = g, .exchange = x, .call = &r->call};
    call_init(&r->call, CALL_REQUEST, &call_ops);
    r->call.idempotent = is_safe(exchange_request(x)->method);
    exchange_set_data(x, &r->pending);
    return r;
}

/* A WebSocket that nodey is to open in the worker's name must be asked for as it should be. */
static bool refuse_handshake(struct exchange *x, const struct ready *ready)
{
    const struct http_request *req = exchange_request(x);
    struct refusal why;
    if (!slice_is(req->upgrade, "websocket") || !has(ready, FEATURE_WS) ||
        handshake_check(req, &why))
        return false;
    handshake_refuse(x, &why);
    return true;
}

/* True when the worker is known to take bodies while others are still on their way. */
static bool takes_many(const struct ready *ready)
{
    return ready && has(ready, FEATURE_STREAM) && ready->concurrency > 1;
}

/* A poll of socket.io lasts until there is news, or until its worker is told to end. */
static bool is_long_poll(const struct http_request *req)
{
    struct slice query = req->query;
    return slice_is(req->method, "GET") && query.len &&
           memmem(query.ptr, query.len, "transport=polling", 17) &&
           memmem(query.ptr, query.len, "sid=", 4);
}

void relay_begin(struct gateway *g, struct exchange *x, const struct router_match *match,
                 struct slice only)
{
    const struct http_request *req = exchange_request(x);
    const struct route *route = match->target;
    const struct ready *ready = pool_declaration(route->pool);
    if (refuse_handshake(x, ready))
        return;
    struct relay *r = relay_new(g, x, only);
    if (is_long_poll(req))
        exchange_set_endless(x);
    if (!req->more || takes_many(ready)) {
        submit(r, match);
    } else if (!has(ready, FEATURE_STREAM) && req->length > route->pool->config->max_line) {
        fail(r, route->pool, &line_too_long);
    } else {
        r->spool = spool_new(g->loop, g->data_dir, on_spooled, r);
        exchange_continue(x);
        collect(r);
    }
}
