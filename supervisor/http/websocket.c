#include "http/websocket.h"

enum {
    CLOSE_MS = 5000,          /* a client answers a close within this */
    PONG_HIGH = EXCHANGE_LOW, /* unsent bytes beyond which only the last ping is answered */
};

#define NOT_STUCK UINT64_MAX

void websockets_init(struct websockets *all, struct loop *loop)
{
    *all = (struct websockets){.loop = loop, .packer = packer_new()};
    list_init(&all->open);
}

void websockets_deinit(struct websockets *all)
{
    packer_free(all->packer);
}

void websockets_drain(struct websockets *all)
{
    all->draining = true;
    list_each (at, &all->open)
        websocket_close(container_of(at, struct websocket, node), WS_GOING_AWAY,
                        (struct slice){0});
}

/* ------------------------------------------------------------------ writing */

static void put(struct websocket *ws, struct slice bytes)
{
    ws->written += bytes.len;
    IGNORE(!exchange_write(ws->exchange, bytes)); /* no length was announced */
}

static void put_frame(struct websocket *ws, enum ws_opcode opcode, bool packed,
                      struct slice payload)
{
    char head[WS_HEAD_MAX];
    size_t len = ws_head_write(head, opcode, packed, payload.len);
    put(ws, (struct slice){head, len});
    if (payload.len)
        put(ws, payload);
}

void websocket_send(struct websocket *ws, bool text, struct slice bytes)
{
    enum ws_opcode opcode = text ? WS_TEXT : WS_BINARY;
    struct buf packed = {0};
    if (ws->closing)
        return;
    if (ws->compression.agreed && bytes.len >= PACK_MIN && bytes.len <= PACK_MAX &&
        packer_pack(ws->all->packer, ws->compression.bits, bytes, &packed))
        put_frame(ws, opcode, true, buf_slice(&packed));
    else
        put_frame(ws, opcode, false, bytes);
    buf_deinit(&packed);
}

size_t websocket_unsent(const struct websocket *ws)
{
    return exchange_unsent(ws->exchange);
}

static void put_close(struct websocket *ws, unsigned code, struct slice reason)
{
    char payload[WS_CONTROL_MAX] = {(char)(code >> 8), (char)code};
    size_t len = 0;
    if (ws_code_valid(code)) {
        size_t cut = MIN(reason.len, (size_t)WS_REASON_MAX);
        while (cut < reason.len && cut && ((unsigned char)reason.ptr[cut] & 0xC0) == 0x80)
            cut--; /* not within a character */
        if (cut)
            memcpy(payload + 2, reason.ptr, cut);
        len = 2 + cut;
    }
    put_frame(ws, WS_CLOSE, false, (struct slice){payload, len});
}

/*
 * A client that pings and does not read must not fill our memory: while much is unsent, only
 * the last of its pings is remembered, which RFC 6455 allows (5.5.3).
 */
static void answer_ping(struct websocket *ws, struct slice payload)
{
    if (exchange_unsent(ws->exchange) <= PONG_HIGH) {
        put_frame(ws, WS_PONG, false, payload);
        return;
    }
    ws->owes_pong = true;
    ws->pong_len = (unsigned char)payload.len;
    if (payload.len)
        memcpy(ws->pong, payload.ptr, payload.len);
}

void websocket_drained(struct websocket *ws)
{
    if (ws->owes_pong && !ws->closing)
        put_frame(ws, WS_PONG, false, (struct slice){ws->pong, ws->pong_len});
    ws->owes_pong = false;
    ws->ops->drained(ws);
}

/* ------------------------------------------------------------------- ending */

/* The exchange is yet to be ended. */
static void finish(struct websocket *ws, unsigned code, struct slice reason)
{
    timer_stop(ws->all->loop, &ws->timer);
    task_cancel(&ws->again);
    list_del(&ws->node);
    ws->ops->closed(ws, code, reason);
    wsreader_deinit(&ws->reader);
}

static void end(struct websocket *ws, unsigned code, struct slice reason)
{
    struct exchange *x = ws->exchange;
    finish(ws, code, reason);
    exchange_end(x, NULL, 0);
}

static void drop(struct websocket *ws)
{
    struct exchange *x = ws->exchange;
    finish(ws, WS_VANISHED, (struct slice){0});
    exchange_abort(x);
}

void websocket_gone(struct websocket *ws)
{
    finish(ws, WS_VANISHED, (struct slice){0});
}

/* ------------------------------------------------------------------ silence */

/*
 * The kernel's buffer was full at the last look, and has taken more since: the client reads,
 * if slowly.  Whatever it takes while it is not full says nothing of the client.
 */
static bool moves(struct websocket *ws)
{
    size_t unsent = exchange_unsent(ws->exchange);
    uint64_t taken = ws->written - unsent;
    bool moved = ws->stuck != NOT_STUCK && taken > ws->stuck;
    ws->stuck = unsent ? taken : NOT_STUCK;
    return moved;
}

static void on_close_timeout(struct timer *timer)
{
    struct websocket *ws = container_of(timer, struct websocket, timer);
    bool first = ws->stuck == NOT_STUCK;
    if (moves(ws))
        timer_start(ws->all->loop, timer, ws->timeout_ms, on_close_timeout);
    else if (first && exchange_unsent(ws->exchange)) /* it may still read towards our close */
        timer_start(ws->all->loop, timer, CLOSE_MS, on_close_timeout);
    else
        drop(ws);
}

static void heard(struct websocket *ws)
{
    ws->heard_ms = loop_now(ws->all->loop);
    ws->pinged = false;
}

static void on_silence(struct timer *timer)
{
    struct websocket *ws = container_of(timer, struct websocket, timer);
    uint64_t now = loop_now(ws->all->loop);
    uint64_t half = ws->timeout_ms / 2;
    if (moves(ws))
        heard(ws);
    if (now - ws->heard_ms >= half && !ws->pinged) {
        put_frame(ws, WS_PING, false, (struct slice){0});
        ws->pinged = true;
    }
    if (ws->paused) /* its answer is not read: that it vanished shows in a write that fails */
        heard(ws);
    uint64_t silent = now - ws->heard_ms;
    if (silent >= ws->timeout_ms)
        drop(ws);
    else
        timer_start(ws->all->loop, timer, (ws->pinged ? ws->timeout_ms : half) - silent,
                    on_silence);
}

void websocket_close(struct websocket *ws, unsigned code, struct slice reason)
{
    if (ws->closing)
        return;
    put_close(ws, code, reason);
    ws->closing = true;
    ws->stuck = NOT_STUCK;
    timer_start(ws->all->loop, &ws->timer, CLOSE_MS, on_close_timeout);
    if (ws->paused)
        loop_defer(ws->all->loop, &ws->again);
    ws->paused = false;
}

/* ------------------------------------------------------------------ reading */

/* False: the websocket is over. */
static bool take_event(struct websocket *ws, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_MESSAGE:
        if (!ws->closing)
            ws->ops->message(ws, event->text, event->bytes);
        return true;
    case WS_EVENT_PING:
        if (!ws->closing)
            answer_ping(ws, event->bytes);
        return true;
    case WS_EVENT_CLOSE:
        if (!ws->closing)
            put_close(ws, event->code, (struct slice){0});
        end(ws, event->code, event->bytes);
        return false;
    case WS_EVENT_FAULT:
        if (!ws->closing)
            put_close(ws, event->code, slice_of(event->why));
        end(ws, event->code, slice_of(event->why));
        return false;
    default:
        return true;
    }
}

/* All that is here and wanted.  What was used is given back at once: to do so for each of
 * many small messages would move those behind it every time. */
static void read_on(struct websocket *ws)
{
    struct ws_event event = {.kind = WS_EVENT_PONG};
    size_t used = 0;
    ws->reading = true;
    while (!ws->paused && event.kind != WS_EVENT_NONE) {
        struct slice body = exchange_body(ws->exchange);
        struct slice rest = body.len ? slice_from(body, used) : body;
        used += wsreader_read(&ws->reader, rest, &event);
        if (!take_event(ws, &event))
            return;
        wsreader_forget(&ws->reader);
    }
    ws->reading = false;
    exchange_consume(ws->exchange, used);
    if (!ws->paused && exchange_body_ended(ws->exchange))
        end(ws, WS_VANISHED, (struct slice){0});
}

void websocket_body(struct websocket *ws)
{
    heard(ws);
    read_on(ws);
}

void websocket_pause(struct websocket *ws)
{
    if (!ws->closing)
        ws->paused = true;
}

void websocket_resume(struct websocket *ws)
{
    if (!ws->paused)
        return;
    ws->paused = false;
    heard(ws);
    if (!ws->reading)
        read_on(ws);
}

static void on_again(struct task *task)
{
    read_on(container_of(task, struct websocket, again));
}

/* ------------------------------------------------------------------ opening */

bool websocket_open(struct websocket *ws, struct websockets *all,
                    const struct websocket_form *form, struct err *why)
{
    const struct http_request *req = exchange_request(form->exchange);
    struct compression compression;
    struct http_answer answer;
    handshake_compression(req, &compression);
    handshake_answer(req, &compression, form->fields, form->field_count,
                     exchange_arena(form->exchange), &answer);
    if (!exchange_upgrade(form->exchange, &answer, why))
        return false;
    *ws = (struct websocket){
        .ops = form->ops,
        .all = all,
        .exchange = form->exchange,
        .compression = compression,
        .timeout_ms = form->timeout_ms,
        .heard_ms = loop_now(all->loop),
        .written = exchange_unsent(form->exchange), /* the head */
        .stuck = NOT_STUCK,
    };
    wsreader_init(&ws->reader, form->max_message, compression.agreed);
    task_init(&ws->again, on_again);
    list_add(&all->open, &ws->node);
    timer_start(all->loop, &ws->timer, ws->timeout_ms / 2, on_silence);
    if (all->draining)
        websocket_close(ws, WS_GOING_AWAY, (struct slice){0});
    return true;
}
