#include "app/gateway.h"

#include <stdio.h>

#include "app/oldask.h"
#include "app/reply.h"

enum {
    LINE_HEAD = 64,      /* room for the id and the time left in a line */
    BUFFER_KEEP = 65536, /* a larger buffer is not kept for the next request */
};

/* One request on its way.  Lives in the exchange's arena and ends with it. */
struct relay {
    struct pending pending;
    struct call call;
    struct gateway *gateway;
    struct exchange *exchange;
    struct slice line; /* all of the request line but id and time */
    struct pool *pool;
};

/* ------------------------------------------------------------------ answering */

/* nodey's own words; pool: of whose part in it, or NULL. */
static void fail(struct gateway *g, struct exchange *x, const struct pool *pool,
                 unsigned status, const char *detail)
{
    errorpage_send(
        g->errors, x,
        &(struct failure){.status = status, .detail = slice_of(detail), .pool = pool});
}

static void fail_call(struct gateway *g, struct exchange *x, const struct pool *pool,
                      const struct call_failure *why)
{
    errorpage_send(g->errors, x,
                   &(struct failure){.status = why->status,
                                     .detail = slice_of(why->text),
                                     .retry_after_s = why->retry_after_s,
                                     .pool = pool});
}

static void clear(struct buf *b)
{
    buf_clear(b);
    if (b->cap > BUFFER_KEEP)
        buf_deinit(b);
}

/* It is the worker's fault, and the client may know. */
void gateway_fail_answer(struct gateway *g, struct exchange *x, const struct pool *pool,
                         const char *why)
{
    char text[512];
    snprintf(text, sizeof(text), "worker %s sent an answer that cannot be used: %s",
             pool->config->name, why);
    log_line(LOG_WARN, pool->config->name, "an answer cannot be used: %s", why);
    fail(g, x, pool, 502, text);
}

static void respond(struct relay *relay, const struct frame *frame)
{
    struct gateway *g = relay->gateway;
    struct exchange *x = relay->exchange;
    struct http_answer answer;
    struct err err;
    clear(&g->body);
    if (!reply_read(frame, exchange_arena(x), &g->body, &answer, &err)) {
        gateway_fail_answer(g, x, relay->pool, err.text);
        return;
    }
    if (!relay->call.idempotent && answer.status < 400)
        cached_wrote(&g->cached, exchange_request(x));
    if (!exchange_respond(x, &answer, &err))
        gateway_fail_answer(g, x, relay->pool, err.text);
}

/* An error without a status, and of no kind that a client can mend, is a bug of the worker's.
 */
static void fail_raised(struct gateway *g, struct exchange *x, const struct pool *pool,
                        const struct frame *frame)
{
    struct buf code = {0}, text = {0}, stack = {0};
    if (frame->code.raw.len)
        json_unescape(&frame->code, &code);
    if (frame->message.raw.len)
        json_unescape(&frame->message, &text);
    if (frame->stack.raw.len)
        json_unescape(&frame->stack, &stack);
    unsigned status =
        frame->status ? (unsigned)frame->status : frame_code_status(buf_slice(&code));
    if (status < 400)
        status = 500;
    errorpage_send(g->errors, x,
                   &(struct failure){
                       .status = status,
                       .detail = buf_slice(&text),
                       .retry_after_s = status == 503 || status == 429,
                       .pool = pool,
                       .raised = true,
                       .unmeant = !frame->status && status == 500,
                       .stack = buf_slice(&stack),
                       .data = frame->data.raw,
                   });
    buf_deinit(&code);
    buf_deinit(&text);
    buf_deinit(&stack);
}

void gateway_fail(struct gateway *g, struct exchange *x, const struct pool *pool,
                  const struct call_reply *reply)
{
    if (reply->failure)
        fail_call(g, x, pool, reply->failure);
    else
        fail_raised(g, x, pool, reply->frame);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct relay *relay = container_of(call, struct relay, call);
    if (reply->failure || reply->frame->kind == FRAME_ERROR)
        gateway_fail(relay->gateway, relay->exchange, relay->pool, reply);
    else
        respond(relay, reply->frame);
}

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    const struct relay *relay = container_of(call, struct relay, call);
    (void)w;
    (void)nested; /* requests never are */
    frame_write_request(out, id, left_ms, relay->line);
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct relay *relay = container_of(call, struct relay, call);
    const struct http_request *req = exchange_request(relay->exchange);
    snprintf(about->what, sizeof(about->what), SLICE_FMT " " SLICE_FMT "%s" SLICE_FMT,
             SLICE_ARG(req->method), SLICE_ARG(req->path), req->has_query ? "?" : "",
             SLICE_ARG(req->query));
    about->request_id = req->id;
}

static const struct call_ops relay_ops = {
    .write = on_write, .done = on_done, .describe = on_describe};

/* -------------------------------------------------------------------- asking */

static bool wants_header(const struct ready *ready, struct slice name)
{
    if (!ready || ready->headers == READY_HEADERS_ALL)
        return true;
    if (ready->headers == READY_HEADERS_LIST)
        for (size_t i = 0; i < ready->header_count; i++)
            if (slice_eq(ready->header_names[i], name))
                return true;
    return false;
}

static bool is_json(const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, "content-type") &&
            slice_starts(req->headers[i].value, SLICE("application/json"))) {
            struct json_scan scan;
            struct json_value value;
            json_scan_init(&scan, req->body);
            return json_scan_value(&scan, &value) && json_scan_done(&scan) && !scan.dirty;
        }
    return false;
}

const struct call_failure gateway_line_too_long = {
    .code = "invalid",
    .status = 413,
    .text = "the request does not fit one line to the worker (max_line)",
};

struct slice gateway_line(struct gateway *g, const struct http_request *req,
                          const struct router_match *match, struct arena *arena)
{
    const struct route *route = match->target;
    const struct ready *ready = pool_declaration(route->pool);
    const struct field *headers = req->headers;
    size_t count = req->header_count;
    if (ready && ready->headers != READY_HEADERS_ALL) {
        struct field *wanted = arena_alloc(arena, count * sizeof(*wanted));
        count = 0;
        for (size_t i = 0; i < req->header_count; i++)
            if (wants_header(ready, req->headers[i].name))
                wanted[count++] = req->headers[i];
        headers = wanted;
    }
    clear(&g->line);
    frame_write_request_tail(&g->line, &(struct frame_request){
                                           .method = req->method,
                                           .path = req->path,
                                           .has_query = req->has_query,
                                           .query = req->query,
                                           .headers = headers,
                                           .header_count = count,
                                           .ip = req->ip,
                                           .https = req->https,
                                           .params = match->params,
                                           .param_count = match->param_count,
                                           .token = route->token,
                                           .body = req->body,
                                           .body_as_json = ready && ready->json_body &&
                                                           req->body.len && is_json(req),
                                       });
    if (g->line.len + LINE_HEAD > route->pool->config->max_line)
        return (struct slice){0};
    return arena_copy(arena, buf_slice(&g->line));
}

/* Methods that ask and do not do: they may be started twice. */
static bool is_safe(struct slice method)
{
    return slice_is(method, "GET") || slice_is(method, "HEAD") || slice_is(method, "OPTIONS");
}

static void on_client_gone(struct pending *pending)
{
    call_cancel(&container_of(pending, struct relay, pending)->call, "disconnect");
}

static void relay_request(struct gateway *g, struct exchange *x,
                          const struct router_match *match)
{
    const struct route *route = match->target;
    struct relay *relay = arena_alloc(exchange_arena(x), sizeof(*relay));
    struct slice line = gateway_line(g, exchange_request(x), match, exchange_arena(x));
    if (!line.len) {
        fail_call(g, x, route->pool, &gateway_line_too_long);
        return;
    }
    relay->pending.gone = on_client_gone;
    call_init(&relay->call, CALL_REQUEST, &relay_ops);
    relay->call.idempotent = is_safe(exchange_request(x)->method);
    relay->call.size = line.len;
    relay->gateway = g;
    relay->exchange = x;
    relay->line = line;
    relay->pool = route->pool;
    exchange_set_data(x, relay);
    loop_spin(g->loop);
    const struct call_failure *refused =
        pool_submit(route->pool, &relay->call, route->timeout_ms);
    if (refused)
        fail_call(g, x, route->pool, refused);
}

/* What its route says of the path is kept when the route is this pool's. */
void gateway_relay(struct gateway *g, struct exchange *x, struct pool *pool)
{
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    enum router_verdict verdict =
        router_find(g->routes->router, req->method, req->path, exchange_arena(x), &match);
    const struct route *found = match.target;
    if (verdict != ROUTER_FOUND || found->pool != pool) {
        struct route *bare = arena_alloc(exchange_arena(x), sizeof(*bare));
        *bare = (struct route){.pool = pool};
        match = (struct router_match){.target = bare};
    }
    relay_request(g, x, &match);
}

/* ------------------------------------------------------------------- handler */

static void answer_asterisk(struct exchange *x)
{
    static const struct field allow = {{"allow", 5},
                                       {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", 44}};
    struct err err;
    IGNORE(exchange_respond(
        x, &(struct http_answer){.status = 204, .headers = &allow, .header_count = 1},
        &err)); /* a constant answer is valid */
}

static void refuse_method(struct gateway *g, struct exchange *x, struct slice allow)
{
    char detail[256];
    snprintf(detail, sizeof(detail), "this path takes " SLICE_FMT, SLICE_ARG(allow));
    errorpage_send(
        g->errors, x,
        &(struct failure){.status = 405, .detail = slice_of(detail), .allow = allow});
}

void gateway_route(struct gateway *g, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    switch (router_find(g->routes->router, req->method, req->path, exchange_arena(x), &match)) {
    case ROUTER_FOUND:
        if (!cached_take(&g->cached, x, &match))
            relay_request(g, x, &match);
        break;
    case ROUTER_METHOD:
        refuse_method(g, x, match.allow);
        break;
    case ROUTER_NOT_FOUND:
        errorpage_send_missing(g->errors, x);
        break;
    }
}

static void on_request(struct http_handler *handler, struct exchange *x)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    const struct http_request *req = exchange_request(x);
    if (req->asterisk) {
        answer_asterisk(x);
        return;
    }
    if (slice_starts(req->path, SLICE("/.nodey/"))) { /* the supervisor's own names */
        fail(g, x, NULL, 404, "no route for this path");
        return;
    }
    if (!oldask_handle(g, x))
        gateway_route(g, x);
}

static void on_gone(struct http_handler *handler, struct exchange *x)
{
    struct pending *pending = exchange_data(x);
    (void)handler;
    if (pending)
        pending->gone(pending);
}

/* Whose route it is, for people who look on. */
static const char *name_of(struct gateway *g, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    if (req->asterisk || router_find(g->routes->router, req->method, req->path,
                                     exchange_arena(x), &match) != ROUTER_FOUND)
        return "nodey";
    return ((const struct route *)match.target)->pool->config->name;
}

static void on_answered(struct http_handler *handler, struct exchange *x, unsigned status,
                        uint64_t body_bytes, uint64_t took_us)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    const struct http_request *req = exchange_request(x);
    if (g->access->kind == ACCESS_AUTO)
        access_show(g->access, name_of(g, x), req, status, took_us);
    else
        access_note(g->access, req, status, body_bytes, took_us);
}

static void on_refused(struct http_handler *handler, struct slice ip, const struct refusal *why)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    access_note_refused(g->access, ip, why);
}

static bool on_refusing(struct http_handler *handler, const struct http_request *req,
                        const struct refusal *why, struct http_answer *answer)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    return errorpage_refusal(g->errors, req, why, answer);
}

void gateway_init(struct gateway *g, struct loop *loop, struct routes *routes,
                  struct access *access)
{
    *g = (struct gateway){.loop = loop, .routes = routes, .access = access};
    cached_init(&g->cached, g, routes->config->server.cache_size);
    g->handler.request = on_request;
    g->handler.gone = on_gone;
    g->handler.refusing = on_refusing;
    gateway_access_changed(g);
}

void gateway_access_changed(struct gateway *g)
{
    bool wanted = g->access->kind != ACCESS_OFF;
    g->handler.answered = wanted ? on_answered : NULL;
    g->handler.refused = wanted ? on_refused : NULL;
}

void gateway_deinit(struct gateway *g)
{
    cached_deinit(&g->cached);
    buf_deinit(&g->line);
    buf_deinit(&g->body);
}
