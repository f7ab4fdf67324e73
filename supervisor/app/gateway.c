#include "app/gateway.h"

#include <stdio.h>

enum {
    LINE_HEAD = 64,      /* room for the id and the time left in a line */
    BUFFER_KEEP = 65536, /* a larger buffer is not kept for the next request */
    HEADERS_MAX = 128,
};

/* One request on its way.  Lives in the exchange's arena and ends with it. */
struct relay {
    struct call call;
    struct gateway *gateway;
    struct exchange *exchange;
    struct slice line; /* all of the request line but id and time */
    const char *worker;
};

/* ------------------------------------------------------------------ answering */

static void fail(struct exchange *x, unsigned status, struct slice detail,
                 unsigned retry_after_s)
{
    exchange_fail(x, &(struct http_problem){
                         .status = status, .detail = detail, .retry_after_s = retry_after_s});
}

static void clear(struct buf *b)
{
    buf_clear(b);
    if (b->cap > BUFFER_KEEP)
        buf_deinit(b);
}

/* The worker's answer cannot be sent: it is its fault, and the client may know. */
static void fail_answer(struct relay *relay, const char *why)
{
    char text[512];
    snprintf(text, sizeof(text), "worker %s sent an answer that cannot be used: %s",
             relay->worker, why);
    log_line(LOG_WARN, relay->worker, "an answer cannot be used: %s", why);
    fail(relay->exchange, 502, slice_of(text), 0);
}

static struct slice latin1(struct arena *arena, const struct json_value *value, bool *valid)
{
    if (!value->escaped && slice_is_ascii(json_inner(value)))
        return arena_copy(arena, json_inner(value));
    struct buf text = {0};
    *valid = *valid && json_unescape_latin1(value, &text);
    struct slice copy = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

struct headers {
    struct field *fields;
    size_t count;
    bool valid;
};

static void add_header(struct headers *h, struct arena *arena, struct slice name,
                       const struct json_value *value)
{
    if (h->count == HEADERS_MAX) {
        h->valid = false;
        return;
    }
    h->fields[h->count++] = (struct field){name, latin1(arena, value, &h->valid)};
}

/* A member is a string, or an array of them for a field that comes several times. */
static struct headers read_headers(struct arena *arena, const struct json_value *object)
{
    struct headers h = {.valid = true};
    if (!object->raw.len)
        return h;
    h.fields = arena_alloc(arena, HEADERS_MAX * sizeof(struct field));
    struct json_scan members = json_iter(object);
    struct json_value key, value, item;
    while (json_next_member(&members, &key, &value)) {
        struct slice name = latin1(arena, &key, &h.valid);
        if (value.type == JSON_STRING) {
            add_header(&h, arena, name, &value);
            continue;
        }
        struct json_scan items = json_iter(&value);
        while (json_next_item(&items, &item))
            add_header(&h, arena, name, &item);
    }
    return h;
}

static struct slice content_type(enum frame_body kind)
{
    static const struct slice types[] = {
        [FRAME_BODY_NONE] = {0},
        [FRAME_BODY_TEXT] = {"text/plain; charset=utf-8", 25},
        [FRAME_BODY_BASE64] = {"application/octet-stream", 24},
        [FRAME_BODY_JSON] = {"application/json", 16},
    };
    return types[kind];
}

/* JSON passes through as it is; so does text without escapes. */
static struct slice body_of(struct gateway *g, const struct frame *frame)
{
    if (frame->body_kind == FRAME_BODY_NONE)
        return (struct slice){0};
    if (frame->body_kind == FRAME_BODY_JSON)
        return frame->body.raw;
    if (frame->body_kind == FRAME_BODY_TEXT && !frame->body.escaped)
        return json_inner(&frame->body);
    clear(&g->body);
    frame_body_decode(frame, &g->body);
    return buf_slice(&g->body);
}

static void respond(struct relay *relay, const struct frame *frame)
{
    struct arena *arena = exchange_arena(relay->exchange);
    struct headers headers = read_headers(arena, &frame->headers);
    bool valid = headers.valid;
    struct slice reason = {0};
    if (frame->reason.raw.len)
        reason = latin1(arena, &frame->reason, &valid);
    if (!valid) {
        fail_answer(relay, "its headers hold too much, or what no header can");
        return;
    }
    struct http_answer answer = {
        .status = frame->status ? (unsigned)frame->status : 200,
        .reason = reason,
        .headers = headers.fields,
        .header_count = headers.count,
        .content_type = content_type(frame->body_kind),
        .body = body_of(relay->gateway, frame),
    };
    struct err err;
    if (!exchange_respond(relay->exchange, &answer, &err))
        fail_answer(relay, err.text);
}

static void respond_error(struct relay *relay, const struct frame *frame)
{
    struct buf code = {0}, text = {0};
    if (frame->code.raw.len)
        json_unescape(&frame->code, &code);
    if (frame->message.raw.len)
        json_unescape(&frame->message, &text);
    unsigned status =
        frame->status ? (unsigned)frame->status : frame_code_status(buf_slice(&code));
    if (status < 400)
        status = 500;
    fail(relay->exchange, status, buf_slice(&text), status == 503 || status == 429);
    buf_deinit(&code);
    buf_deinit(&text);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct relay *relay = container_of(call, struct relay, call);
    if (reply->failure)
        fail(relay->exchange, reply->failure->status, slice_of(reply->failure->text),
             reply->failure->retry_after_s);
    else if (reply->frame->kind == FRAME_ERROR)
        respond_error(relay, reply->frame);
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

static const struct call_ops relay_ops = {.write = on_write, .done = on_done};

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

/* A client can have a request told apart from the worker's other requests by its body. */
static struct slice write_line(struct gateway *g, struct exchange *x, const struct route *route,
                               const struct router_match *match)
{
    const struct http_request *req = exchange_request(x);
    const struct ready *ready = pool_declaration(route->pool);
    struct arena *arena = exchange_arena(x);
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
    return arena_copy(arena, buf_slice(&g->line));
}

/* Methods that ask and do not do: they may be started twice. */
static bool is_safe(struct slice method)
{
    return slice_is(method, "GET") || slice_is(method, "HEAD") || slice_is(method, "OPTIONS");
}

static void relay_request(struct gateway *g, struct exchange *x,
                          const struct router_match *match)
{
    const struct route *route = match->target;
    const struct worker_config *config = route->pool->config;
    struct relay *relay = arena_alloc(exchange_arena(x), sizeof(*relay));
    struct slice line = write_line(g, x, route, match);
    if (line.len + LINE_HEAD > config->max_line) {
        fail(x, 413, SLICE("the request does not fit one line to the worker (max_line)"), 0);
        return;
    }
    call_init(&relay->call, CALL_REQUEST, &relay_ops);
    relay->call.idempotent = is_safe(exchange_request(x)->method);
    relay->call.size = line.len;
    relay->gateway = g;
    relay->exchange = x;
    relay->line = line;
    relay->worker = config->name;
    exchange_set_data(x, relay);
    loop_spin(g->loop);
    const struct call_failure *refused =
        pool_submit(route->pool, &relay->call, route->timeout_ms);
    if (refused)
        fail(x, refused->status, slice_of(refused->text), refused->retry_after_s);
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

static void on_request(struct http_handler *handler, struct exchange *x)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    if (req->asterisk) {
        answer_asterisk(x);
        return;
    }
    if (slice_starts(req->path, SLICE("/.nodey/"))) { /* the supervisor's own names */
        fail(x, 404, SLICE("no route for this path"), 0);
        return;
    }
    switch (router_find(g->routes->router, req->method, req->path, exchange_arena(x), &match)) {
    case ROUTER_FOUND:
        relay_request(g, x, &match);
        break;
    case ROUTER_METHOD:
        exchange_fail(x, &(struct http_problem){.status = 405, .allow = match.allow});
        break;
    case ROUTER_NOT_FOUND:
        fail(x, 404, SLICE("no route for this path"), 0);
        break;
    }
}

static void on_gone(struct http_handler *handler, struct exchange *x)
{
    struct relay *relay = exchange_data(x);
    (void)handler;
    if (relay)
        call_cancel(&relay->call, "disconnect");
}

static void on_answered(struct http_handler *handler, struct exchange *x, unsigned status,
                        uint64_t body_bytes, uint64_t took_us)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    access_note(g->access, exchange_request(x), status, body_bytes, took_us);
}

static void on_refused(struct http_handler *handler, struct slice ip, const struct refusal *why)
{
    struct gateway *g = container_of(handler, struct gateway, handler);
    access_note_refused(g->access, ip, why);
}

void gateway_init(struct gateway *g, struct loop *loop, struct routes *routes,
                  struct access *access)
{
    *g = (struct gateway){.loop = loop, .routes = routes, .access = access};
    g->handler.request = on_request;
    g->handler.gone = on_gone;
    if (access->kind == ACCESS_OFF)
        return;
    g->handler.answered = on_answered;
    g->handler.refused = on_refused;
}

void gateway_deinit(struct gateway *g)
{
    buf_deinit(&g->line);
    buf_deinit(&g->body);
}
