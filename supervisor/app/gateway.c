#include "app/gateway.h"

#include <stdio.h>

#include "app/busdoor.h"
#include "app/compress.h"
#include "app/filed.h"
#include "app/oldask.h"
#include "app/relay.h"
#include "app/reply.h"
#include "app/statics.h"

enum {
    BUFFER_KEEP = 65536, /* a larger buffer is not kept for the next request */
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
                                     .incident = slice_of(why->incident),
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

static void respond_file(struct gateway *g, struct exchange *x, const struct pool *pool,
                         const struct frame *frame)
{
    struct http_answer answer;
    struct http_file file;
    struct err err;
    if (!reply_read_head(frame, exchange_arena(x), &answer, &err) ||
        filed_open(pool->config, frame, &file, &err) ||
        !exchange_send_file(x, &answer, &file, &err))
        gateway_fail_answer(g, x, pool, err.text);
}

void gateway_respond(struct gateway *g, struct exchange *x, const struct pool *pool, bool wrote,
                     const struct frame *frame)
{
    struct http_answer answer;
    struct err err;
    if (frame->file.raw.len) {
        respond_file(g, x, pool, frame);
        return;
    }
    clear(&g->body);
    if (!reply_read(frame, exchange_arena(x), &g->body, &answer, &err)) {
        gateway_fail_answer(g, x, pool, err.text);
        return;
    }
    if (wrote && answer.status < 400)
        cached_wrote(&g->cached, exchange_request(x));
    if (!compress_respond(g, x, &answer, &err))
        gateway_fail_answer(g, x, pool, err.text);
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
    if (status < 400 || status > 599)
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

/* -------------------------------------------------------------------- asking */

/* What its route says of the path is kept when the route is this pool's. */
static void find_pool(struct gateway *g, struct exchange *x, struct pool *pool,
                      struct router_match *match)
{
    const struct http_request *req = exchange_request(x);
    enum router_verdict verdict =
        router_find(g->routes->router, req->method, req->path, exchange_arena(x), match);
    const struct route *found = match->target;
    if (verdict == ROUTER_FOUND && found->pool == pool)
        return;
    struct route *bare = arena_alloc(exchange_arena(x), sizeof(*bare));
    *bare = (struct route){.pool = pool,
                           .proxy = pool->config->is_service ? &proxy_plain_route : NULL};
    *match = (struct router_match){.target = bare};
}

bool gateway_find(struct gateway *g, struct exchange *x, struct slice only,
                  struct router_match *match)
{
    const struct http_request *req = exchange_request(x);
    *match = (struct router_match){0};
    if (!only.len) {
        if (router_find(g->routes->router, req->method, req->path, exchange_arena(x), match) !=
            ROUTER_FOUND)
            return false;
        const struct route *route = match->target;
        return route->pool && !route->proxy;
    }
    struct pool *pool = pools_find(g->routes->pools, only);
    if (!pool || pool->config->is_service)
        return false;
    find_pool(g, x, pool, match);
    return true;
}

void gateway_relay(struct gateway *g, struct exchange *x, struct pool *pool)
{
    struct router_match match = {0};
    find_pool(g, x, pool, &match);
    if (pool->config->is_service)
        proxy_begin(&g->proxy, x, &match);
    else
        relay_begin(g, x, &match, arena_copy(exchange_arena(x), slice_of(pool->config->name)));
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
        if (((const struct route *)match.target)->files)
            statics_serve(g, x, &match);
        else if (((const struct route *)match.target)->bus)
            busdoor_serve(g->busdoor, x, &match);
        else if (((const struct route *)match.target)->proxy)
            proxy_begin(&g->proxy, x, &match);
        else if (!cached_take(&g->cached, x, &match))
            relay_begin(g, x, &match, (struct slice){0});
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

static void on_body(struct http_handler *handler, struct exchange *x)
{
    struct pending *pending = exchange_data(x);
    (void)handler;
    if (pending && pending->body)
        pending->body(pending);
}

static void on_drained(struct http_handler *handler, struct exchange *x)
{
    struct pending *pending = exchange_data(x);
    (void)handler;
    if (pending && pending->drained)
        pending->drained(pending);
}

/* Whose route it is, for people who look on. */
static const char *name_of(struct gateway *g, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    if (req->asterisk || router_find(g->routes->router, req->method, req->path,
                                     exchange_arena(x), &match) != ROUTER_FOUND)
        return "nodey";
    return route_server(match.target);
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
    g->data_dir = xstrdup(routes->config->server.data_dir);
    filecache_init(&g->files);
    cached_init(&g->cached, g, routes->config->server.cache_size);
    websockets_init(&g->sockets, loop);
    proxy_init(&g->proxy, g);
    g->handler.request = on_request;
    g->handler.gone = on_gone;
    g->handler.body = on_body;
    g->handler.drained = on_drained;
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
    filecache_deinit(&g->files);
    cached_deinit(&g->cached);
    websockets_deinit(&g->sockets);
    proxy_deinit(&g->proxy);
    buf_deinit(&g->line);
    buf_deinit(&g->body);
    xfree(g->data_dir);
}
