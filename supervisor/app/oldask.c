#include "app/oldask.h"

#include "app/asking.h"
#include "base/base64.h"
#include "base/json.h"
#include "pool/ask.h"

/* One question on its way.  Lives in the exchange's arena and ends with it. */
struct oldask {
    struct pending pending;
    struct asking asking;
    struct gateway *gateway;
    struct exchange *exchange;
    struct buf body; /* while it comes in pieces */
};

enum { BODY_MAX = 16 << 20 };

static void refuse(struct gateway *g, struct exchange *x, unsigned status, const char *detail)
{
    errorpage_send(g->errors, x,
                   &(struct failure){.status = status, .detail = slice_of(detail)});
}

static void answer(const struct oldask *a, struct slice value)
{
    struct err err;
    struct buf text = {0};
    base64_encode(&text, value);
    IGNORE(exchange_respond(a->exchange,
                            &(struct http_answer){.status = 200,
                                                  .content_type = SLICE("text/plain"),
                                                  .body = buf_slice(&text)},
                            &err)); /* an answer without fields is valid */
    buf_deinit(&text);
}

static void on_asked(struct asking *asking, const struct asking_reply *reply)
{
    struct oldask *a = container_of(asking, struct oldask, asking);
    const struct pool *pool = ask_find(asking->pools, asking->question.token);
    exchange_set_data(a->exchange, NULL);
    if (!reply->code) {
        answer(a, reply->value);
        return;
    }
    bool unknown = !pool && reply->status == 501;
    errorpage_send(a->gateway->errors, a->exchange,
                   &(struct failure){.status = unknown ? 404 : reply->status,
                                     .detail = reply->text,
                                     .retry_after_s = reply->retry_after_s,
                                     .pool = pool,
                                     .data = reply->data});
}

static void on_client_gone(struct pending *pending)
{
    asking_cancel(&container_of(pending, struct oldask, pending)->asking);
}

static void on_client_left_early(struct pending *pending)
{
    buf_deinit(&container_of(pending, struct oldask, pending)->body);
}

/* A token's text; NULL when it is none. */
static const char *read_token(struct arena *arena, const struct json_value *value)
{
    struct buf text = {0};
    const char *token = NULL;
    if (value->raw.len && value->type == JSON_STRING)
        json_unescape(value, &text);
    if (text.len && !memchr(text.ptr, '\0', text.len))
        token = arena_strdup(arena, buf_slice(&text));
    buf_deinit(&text);
    return token;
}

/* JSON goes to the worker as it is, but on one line, and in UTF-8. */
static struct slice read_args(struct arena *arena, const struct json_value *value)
{
    struct buf text = {0};
    json_write_clean(&text, value->raw);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\n' || text.ptr[i] == '\r')
            text.ptr[i] = ' ';
    struct slice args = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return args;
}

/* Fills in the question.  NULL, or what is wrong with the body. */
static const char *read_body(struct arena *arena, struct slice body,
                             struct asking_question *question)
{
    static const char wrong[] = "the body must be JSON: {\"asking_about\": \"TOKEN\"}";
    struct json_scan scan;
    struct json_value all, key, value, token = {0};
    json_scan_init(&scan, body);
    scan.depth = 1; /* the frame around it */
    if (!json_scan_value(&scan, &all) || !json_scan_done(&scan) || all.type != JSON_OBJECT)
        return wrong;
    struct json_scan members = json_iter(&all);
    while (json_next_member(&members, &key, &value)) {
        if (json_string_is(&key, "asking_about"))
            token = value;
        else if (json_string_is(&key, "args"))
            question->args = read_args(arena, &value);
    }
    question->token = read_token(arena, &token);
    return question->token ? NULL : wrong;
}

/* A worker that serves this very path knows better; one that serves all paths does not. */
static bool is_served(const struct gateway *g, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    struct router_match match = {0};
    return router_find(g->routes->router, req->method, req->path, exchange_arena(x), &match) ==
               ROUTER_FOUND &&
           match.param_count == 0;
}

static void ask(struct gateway *g, struct exchange *x, struct slice body)
{
    struct arena *arena = exchange_arena(x);
    struct asking_question question = {.from = "POST /ask"};
    const char *wrong = read_body(arena, body, &question);
    if (wrong) {
        refuse(g, x, 400, wrong);
        return;
    }
    struct oldask *a = arena_alloc(arena, sizeof(*a));
    *a = (struct oldask){.gateway = g, .exchange = x, .pending = {.gone = on_client_gone}};
    exchange_set_data(x, &a->pending);
    asking_start(&a->asking, g->routes->pools, &question, on_asked);
}

static void on_client_body(struct pending *pending)
{
    struct oldask *a = container_of(pending, struct oldask, pending);
    struct exchange *x = a->exchange;
    struct slice piece = exchange_body(x);
    bool fits = a->body.len + piece.len <= BODY_MAX;
    if (fits) {
        buf_add(&a->body, piece);
        exchange_consume(x, piece.len);
        if (!exchange_body_ended(x))
            return;
    }
    struct buf body = a->body;
    exchange_set_data(x, NULL);
    if (fits)
        ask(a->gateway, x, buf_slice(&body));
    else
        refuse(a->gateway, x, 413, "the body is longer than 16 MiB");
    buf_deinit(&body);
}

static void collect(struct gateway *g, struct exchange *x)
{
    struct oldask *a = arena_alloc(exchange_arena(x), sizeof(*a));
    *a = (struct oldask){.gateway = g,
                         .exchange = x,
                         .pending = {.gone = on_client_left_early, .body = on_client_body}};
    exchange_set_data(x, &a->pending);
    exchange_continue(x);
    on_client_body(&a->pending);
}

bool oldask_handle(struct gateway *g, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    if (!g->routes->config->server.ask_endpoint || !slice_is(req->path, "/ask") ||
        !slice_is(req->method, "POST") || is_served(g, x))
        return false;
    if (req->more)
        collect(g, x);
    else
        ask(g, x, req->body);
    return true;
}
