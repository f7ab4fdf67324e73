/*
 * The way "socket" of a relay: a WebSocket on one side, message frames on the other.
 *
 * A worker without credit, or with a full pipe, stops the reading from the client; a client
 * that does not read keeps the worker's credit.  When the WebSocket is over the worker is told
 * by an `end` with the code, and its slot stays taken until it has answered that; the relay
 * does not wait for it.
 */
#include "app/relay.h"
#include "app/reply.h"
#include "http/websocket.h"

enum { LINE_REST = 128 }; /* bytes of a message's line beside the message, at most */

struct socket {
    struct websocket web;
    struct relay *relay;
    size_t owed; /* bytes from the worker that its client has yet to take */
};

static struct socket *socket_of(const struct relay *relay)
{
    return container_of(relay->socket, struct socket, web);
}

static void mind_room(struct socket *s)
{
    if (call_room(&s->relay->call) == 0)
        websocket_pause(&s->web);
}

/* The worker may send as much again as its client has taken. */
static void pay(struct socket *s)
{
    if (!s->owed || websocket_unsent(&s->web) > EXCHANGE_LOW)
        return; /* `drained` follows */
    if (s->relay->call.pool)
        call_consumed(&s->relay->call, s->owed);
    s->owed = 0;
}

/* ---------------------------------------------------------- from the client */

/* Bytes that a text takes in JSON. */
static size_t escaped_size(struct slice text)
{
    size_t size = text.len;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        size += c < 0x20 || c == 0x7F ? 5 : c == '"' || c == '\\' ? 1 : 0;
    }
    return size;
}

static bool fits_line(const struct socket *s, bool text, struct slice bytes)
{
    size_t room = s->relay->pool->config->max_line - LINE_REST;
    if (bytes.len <= room / 6) /* however it is written */
        return true;
    return (text ? escaped_size(bytes) : (bytes.len + 2) / 3 * 4) <= room;
}

static void on_message(struct websocket *web, bool text, struct slice bytes)
{
    struct socket *s = container_of(web, struct socket, web);
    if (!fits_line(s, text, bytes)) {
        websocket_close(web, WS_TOO_BIG, SLICE("the message does not fit a line (max_line)"));
        return;
    }
    call_send_message(&s->relay->call, text, bytes);
    mind_room(s);
}

static void on_closed(struct websocket *web, unsigned code, struct slice reason)
{
    struct socket *s = container_of(web, struct socket, web);
    struct call *call = &s->relay->call;
    call_send_end(call, &(struct frame_end){.close_code = code, .reason = reason});
    call_cancel(call, NULL);
}

static void on_web_drained(struct websocket *web)
{
    pay(container_of(web, struct socket, web));
}

static const struct websocket_ops socket_ops = {
    .message = on_message, .closed = on_closed, .drained = on_web_drained};

/* Before each message there was room; since the last one the worker may have ended its input.
 */
static void on_body(struct relay *relay)
{
    mind_room(socket_of(relay));
    websocket_body(relay->socket);
}

static void on_drained(struct relay *relay)
{
    websocket_drained(relay->socket);
}

static void on_gone(struct relay *relay)
{
    websocket_gone(relay->socket);
}

/* ---------------------------------------------------------- from the worker */

static void on_part(struct relay *relay, const struct frame *frame, struct slice body)
{
    struct socket *s = socket_of(relay);
    if (frame->kind != FRAME_MESSAGE) {
        websocket_close(&s->web, WS_INTERNAL_ERROR, (struct slice){0});
        call_cancel(&relay->call, "disconnect");
        return;
    }
    websocket_send(&s->web, frame->body_kind == FRAME_BODY_TEXT, body);
    s->owed += body.len;
    pay(s);
}

static void on_room(struct relay *relay)
{
    if (call_room(&relay->call))
        websocket_resume(relay->socket);
}

/* In development the client is told what the worker said. */
static void close_failed(struct relay *relay, const struct call_reply *reply)
{
    const struct gateway *g = relay->gateway;
    struct buf reason = {0};
    unsigned code = g->sockets.draining ? WS_GOING_AWAY : WS_INTERNAL_ERROR;
    if (g->errors && g->errors->dev) {
        if (reply->failure)
            buf_adds(&reason, reply->failure->text);
        else if (reply->frame->message.raw.len)
            json_unescape(&reply->frame->message, &reason);
    }
    websocket_close(relay->socket, code, buf_slice(&reason));
    buf_deinit(&reason);
}

static void on_done(struct relay *relay, const struct call_reply *reply)
{
    struct buf reason = {0};
    if (reply->failure || reply->frame->kind != FRAME_END) {
        close_failed(relay, reply);
        return;
    }
    uint64_t code = reply->frame->close_code;
    if (reply->frame->reason.raw.len)
        json_unescape(&reply->frame->reason, &reason);
    websocket_close(relay->socket, code ? (unsigned)code : WS_NORMAL, buf_slice(&reason));
    buf_deinit(&reason);
}

static const struct relay_way socket_way = {
    .part = on_part,
    .done = on_done,
    .room = on_room,
    .body = on_body,
    .drained = on_drained,
    .gone = on_gone,
};

/* ------------------------------------------------------------------ opening */

/* A subprotocol must be one that the client speaks. */
static bool check_protocol(const struct http_request *req, const struct http_answer *answer,
                           struct err *why)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct field *field = &answer->headers[i];
        if (slice_eq_nocase(field->name, SLICE("sec-websocket-protocol")) &&
            !handshake_offers(req, field->value)) {
            IGNORE(err_set(why, -1, "its subprotocol \"" SLICE_FMT "\" was not offered",
                           (int)MIN(field->value.len, (size_t)80), field->value.ptr));
            return false;
        }
    }
    return true;
}

static bool open_socket(struct relay *relay, const struct frame *head, struct err *why)
{
    struct exchange *x = relay->exchange;
    const struct server_config *config = &relay->gateway->routes->config->server;
    struct socket *s = arena_alloc(exchange_arena(x), sizeof(*s));
    struct http_answer answer;
    *s = (struct socket){.relay = relay};
    if (!reply_read_head(head, exchange_arena(x), &answer, why) ||
        !check_protocol(exchange_request(x), &answer, why))
        return false;
    struct websocket_form form = {
        .exchange = x,
        .ops = &socket_ops,
        .max_message = (size_t)config->max_message,
        .timeout_ms = config->websocket_timeout,
        .fields = answer.headers,
        .field_count = answer.header_count,
    };
    if (!websocket_open(&s->web, &relay->gateway->sockets, &form, why))
        return false;
    relay->way = &socket_way;
    relay->socket = &s->web;
    return true;
}

void socket_begin(struct relay *relay, const struct frame *head)
{
    struct err why;
    if (!open_socket(relay, head, &why)) {
        relay_give_up(relay);
        gateway_fail_answer(relay->gateway, relay->exchange, relay->pool, why.text);
        return;
    }
    relay->upgrading = false;
    mind_room(socket_of(relay));
}
