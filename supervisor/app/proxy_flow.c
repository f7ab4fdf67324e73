#include "app/proxy_flow.h"

#include <stdio.h>

#include "app/compress.h"
#include "app/proxy_head.h"

enum {
    UPLOAD_HIGH = 64 * 1024,    /* unsent bytes of a request: no more is read from the client */
    DOWNLOAD_HIGH = 256 * 1024, /* unsent bytes of an answer: no more is read from the target */
    HEAD_KEEP = 64 * 1024,      /* a larger buffer is not kept for the next head */
};

static struct proxied *proxied_of(struct client *c)
{
    return container_of(c, struct upstream_link, client)->owner;
}

static struct client *client_of(struct proxied *p)
{
    return &p->link->client;
}

/* What may the target take its time with, and how long? */
static void set_limit(struct proxied *p)
{
    struct client *c = client_of(p);
    if (p->tunnel) { /* whose turn it is only the two ends know */
        client_limit(c, p->route->tunnel_timeout);
        return;
    }
    bool its_turn = !p->sending || client_unsent(c);
    uint64_t limit = p->headed ? p->route->idle_timeout : p->timeout_ms;
    client_limit(c, its_turn && !p->endless && !p->paused ? limit : 0);
}

/* ------------------------------------------------------------------ request */

/* The target's own words for the same thing, written into a buffer that is reused. */
static void write_head(struct proxied *p, struct buf *out)
{
    buf_clear(out);
    if (out->cap > HEAD_KEEP)
        buf_deinit(out);
    proxy_write_head(out, &(struct proxy_ask){
                              .request = exchange_request(p->exchange),
                              .route = p->route,
                              .authority = p->target->url.authority,
                              .base = p->target->url.base,
                          });
}

void proxied_send(struct proxied *p)
{
    const struct http_request *req = exchange_request(p->exchange);
    struct buf *out = &p->proxy->gateway->line;
    write_head(p, out);
    buf_add(out, req->body);
    p->begun = true;
    p->use.sent_ns = loop_clock_ns();
    p->sending = req->more;
    client_begin(client_of(p), &(struct client_ask){
                                   .head = buf_slice(out),
                                   .more = req->more,
                                   .is_head = slice_is(req->method, "HEAD"),
                                   .may_switch = req->upgrade.len != 0,
                                   .timeout_ms = p->timeout_ms,
                               });
    if (req->more)
        proxied_pump(p);
}

static void send_piece(struct proxied *p, struct slice piece)
{
    struct client *c = client_of(p);
    bool chunked = !p->tunnel && proxy_is_chunked(exchange_request(p->exchange));
    char head[24];
    if (chunked) {
        int len = snprintf(head, sizeof(head), "%zx\r\n", piece.len);
        client_write(c, (struct slice){head, (size_t)len});
    }
    client_write(c, piece);
    if (chunked)
        client_write(c, SLICE("\r\n"));
}

static void send_end(struct proxied *p)
{
    p->sending = false;
    if (p->tunnel) {
        client_shutdown(client_of(p));
        return;
    }
    if (proxy_is_chunked(exchange_request(p->exchange))) {
        struct buf last = {0};
        size_t count;
        const struct field *trailers = exchange_trailers(p->exchange, &count);
        response_write_last_chunk(&last, trailers, count);
        client_write(client_of(p), buf_slice(&last));
        buf_deinit(&last);
    }
    client_finish(client_of(p));
}

void proxied_pump(struct proxied *p)
{
    struct exchange *x = p->exchange;
    struct slice body;
    if (!p->link || !p->sending)
        return;
    exchange_continue(x);
    while (client_unsent(client_of(p)) < UPLOAD_HIGH && (body = exchange_body(x)).len) {
        send_piece(p, body);
        p->consumed = true;
        exchange_consume(x, body.len);
    }
    if (exchange_body_ended(x) && !exchange_body(x).len)
        send_end(p);
    set_limit(p);
}

static void on_eased(struct client *c)
{
    proxied_pump(proxied_of(c));
}

/* ------------------------------------------------------------------- answer */

static void refuse(struct proxied *p, const char *why)
{
    char text[512];
    snprintf(text, sizeof(text), "%s sent an answer that cannot be used: %.400s",
             proxied_name(p), why);
    proxied_fail(p, 502, text);
}

static void pause_if_full(struct proxied *p)
{
    if (p->paused || exchange_unsent(p->exchange) <= DOWNLOAD_HIGH)
        return;
    p->paused = true;
    client_pause(client_of(p));
}

void proxied_drained(struct proxied *p)
{
    if (!p->paused)
        return;
    p->paused = false;
    client_resume(client_of(p));
    set_limit(p);
}

/* False when it is beyond the announced length. */
static bool write_piece(struct proxied *p, struct slice piece, bool last)
{
    struct buf packed = {0};
    if (p->coder) {
        coder_write(p->coder, piece, last, &packed);
        piece = buf_slice(&packed);
    }
    bool fits = !piece.len || exchange_write(p->exchange, piece);
    buf_deinit(&packed);
    return fits;
}

static void on_opened(struct client *c)
{
    struct proxied *p = proxied_of(c);
    upstream_worked(p->link);
    proxied_send(p);
}

static void on_interim(struct client *c, const struct answer_head *head)
{
    struct proxied *p = proxied_of(c);
    struct http_answer answer;
    struct err err;
    if (head->status == 100) /* what the client waits for is said by exchange_continue() */
        return;
    proxy_read_answer(head, NULL, exchange_arena(p->exchange), &answer);
    IGNORE(!exchange_inform(p->exchange, answer.status, answer.headers, answer.header_count,
                            &err)); /* what cannot be passed on is not needed */
}

/* A client without a valid cookie gets the one of the target that has answered it. */
static const struct field *cookie_of(struct proxied *p)
{
    if (p->route->balance != POLICY_COOKIE || p->wish.cookie == p->target->id)
        return NULL;
    char id[SHARE_COOKIE_LEN + 1];
    struct arena *arena = exchange_arena(p->exchange);
    share_write_cookie(p->target->id, id);
    char *text = xasprintf("%s=%s; Path=/; HttpOnly; SameSite=Lax", p->route->policy_key, id);
    struct field *field = arena_alloc(arena, sizeof(*field));
    *field = (struct field){SLICE("Set-Cookie"), arena_copy(arena, slice_of(text))};
    xfree(text);
    return field;
}

static void begin_tunnel(struct proxied *p, const struct http_answer *answer)
{
    struct err err;
    if (!exchange_upgrade(p->exchange, answer, &err)) {
        refuse(p, err.text);
        return;
    }
    p->tunnel = p->endless = p->sending = true;
    exchange_set_endless(p->exchange);
    set_limit(p);
}

static void on_head(struct client *c, const struct answer_head *head)
{
    struct proxied *p = proxied_of(c);
    struct http_answer answer;
    struct err err;
    target_worked(p->target, proxied_log_name(p));
    upstream_read_keep_alive(p->link, head);
    proxy_read_answer(head, cookie_of(p), exchange_arena(p->exchange), &answer);
    p->headed = true;
    proxied_answers(p);
    if (head->status == 101) {
        begin_tunnel(p, &answer);
        return;
    }
    p->coder = coder_new(p->proxy->gateway, p->exchange, &answer);
    if (!exchange_begin(p->exchange, &answer, &err)) {
        refuse(p, err.text);
        return;
    }
    if (proxy_is_event_stream(head)) {
        p->endless = true;
        exchange_set_endless(p->exchange);
    }
    set_limit(p);
}

static void on_body(struct client *c, struct slice bytes)
{
    struct proxied *p = proxied_of(c);
    if (!write_piece(p, bytes, false)) {
        proxied_cut(p, CLIENT_INVALID, "it is longer than its Content-Length");
        return;
    }
    pause_if_full(p);
    set_limit(p);
}

static void on_answered(struct client *c)
{
    struct proxied *p = proxied_of(c);
    struct exchange *x = p->exchange;
    size_t count;
    const struct field *trailers = client_trailers(c, exchange_arena(x), &count);
    IGNORE(!write_piece(p, (struct slice){0}, true)); /* no length is announced with a coder */
    proxied_end(p, true);
    IGNORE(!exchange_end(x, trailers, count)); /* a shorter one would not have been answered */
}

static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    struct proxied *p = proxied_of(c);
    (void)code;
    if (!p->headed)
        proxied_lost(p, failure, why);
    else
        proxied_cut(p, failure,
                    failure != CLIENT_TIMEOUT ? why
                    : p->tunnel               ? "neither side said anything for tunnel_timeout"
                                              : "nothing came for its idle_timeout");
}

const struct client_ops proxied_ops = {
    .opened = on_opened,
    .head = on_head,
    .body = on_body,
    .answered = on_answered,
    .failed = on_failed,
    .interim = on_interim,
    .eased = on_eased,
};
