#include "app/outflow.h"

#include "app/compress.h"
#include "app/reply.h"
#include "http/field.h"
#include "http/mediatype.h"

/* The answer cannot go on, and it is the worker's fault.  The call is over. */
static void cut(struct outflow *o, const char *why)
{
    outflow_gone(o);
    log_line(LOG_WARN, o->pool->config->name, "an answer in pieces is cut off: %s", why);
    exchange_abort(o->exchange);
}

static bool refuse(struct outflow *o, const char *why)
{
    call_cancel(o->call, "disconnect");
    if (o->begun)
        cut(o, why);
    else
        gateway_fail_answer(o->gateway, o->exchange, o->pool, why);
    return false;
}

static void write_piece(struct outflow *o, struct slice body)
{
    o->owed += body.len;
    if (exchange_unsent(o->exchange) <= EXCHANGE_LOW)
        outflow_drained(o);
}

void outflow_drained(struct outflow *o)
{
    size_t owed = o->owed;
    o->owed = 0;
    call_consumed(o->call, owed);
}

void outflow_gone(struct outflow *o)
{
    coder_free(o->coder);
    o->coder = NULL;
}

/* False when it is beyond the announced length.  Credit is for what the worker sent. */
static bool write_body(struct outflow *o, struct slice body, bool last)
{
    struct buf packed = {0};
    if (o->coder) {
        coder_write(o->coder, body, last, &packed);
        body = buf_slice(&packed);
    }
    bool fits = !body.len || exchange_write(o->exchange, body);
    buf_deinit(&packed);
    return fits;
}

static bool is_event_stream(const struct http_answer *answer)
{
    static const char *const types[] = {"text/event-stream"};
    for (size_t i = 0; i < answer->header_count; i++)
        if (field_lookup(answer->headers[i].name) == FIELD_CONTENT_TYPE)
            return mediatype_fits(answer->headers[i].value, types, ARRAY_LEN(types));
    return false;
}

static bool begin(struct outflow *o, const struct frame *frame, struct slice body,
                  const struct field *extra)
{
    struct http_answer answer;
    struct err err;
    struct arena *arena = exchange_arena(o->exchange);
    if (!reply_read_head(frame, arena, &answer, &err))
        return refuse(o, err.text);
    if (extra)
        reply_add_field(&answer, arena, extra);
    o->coder = coder_new(o->gateway, o->exchange, &answer);
    if (!o->coder)
        answer.body = body;
    if (!exchange_begin(o->exchange, &answer, &err)) {
        outflow_gone(o);
        return refuse(o, err.text);
    }
    o->begun = true;
    if (is_event_stream(&answer))
        exchange_set_endless(o->exchange);
    if (o->coder)
        IGNORE(write_body(o, body, false)); /* no length is announced */
    write_piece(o, body);
    return true;
}

static bool inform(struct outflow *o, const struct frame *frame)
{
    struct http_answer answer;
    struct err err;
    if (!reply_read_head(frame, exchange_arena(o->exchange), &answer, &err) ||
        !exchange_inform(o->exchange, answer.status, answer.headers, answer.header_count, &err))
        return refuse(o, err.text);
    return true;
}

bool outflow_part(struct outflow *o, const struct frame *frame, struct slice body,
                  const struct field *extra)
{
    switch (frame->kind) {
    case FRAME_RESPONSE:
        return begin(o, frame, body, extra);
    case FRAME_INFO:
        return inform(o, frame);
    case FRAME_CHUNK:
        if (!write_body(o, body, false))
            return refuse(o, "it is longer than its Content-Length");
        write_piece(o, body);
        return true;
    default:
        return refuse(o, "it sent messages, but no WebSocket is open");
    }
}

static void finish(struct outflow *o, const struct call_reply *reply)
{
    const char *name = o->pool->config->name; /* `o` ends with the exchange */
    struct http_answer trailers = {0};
    struct err err;
    if (!write_body(o, reply->body, true)) {
        cut(o, "it is longer than its Content-Length");
        return;
    }
    outflow_gone(o);
    if (!reply_read_head(reply->frame, exchange_arena(o->exchange), &trailers, &err))
        trailers.header_count = 0;
    if (!exchange_end(o->exchange, trailers.headers, trailers.header_count))
        log_line(LOG_WARN, name,
                 "an answer in pieces is cut off: it is shorter than its Content-Length");
}

void outflow_done(struct outflow *o, const struct call_reply *reply)
{
    struct buf text = {0};
    if (reply->failure) {
        cut(o, reply->failure->text);
    } else if (reply->frame->kind == FRAME_END) {
        finish(o, reply);
    } else {
        if (reply->frame->message.raw.len)
            json_unescape(&reply->frame->message, &text);
        cut(o, text.len ? buf_cstr(&text) : "it raised an error");
    }
    buf_deinit(&text);
}
