#include "http/farewell.h"

#include "http/outgoing.h"

enum {
    LINGER_MS = 1000,
    LINGER_BYTES = 256 * 1024,
    PATIENT_MS = 5000, /* without a byte */
    PATIENT_IN_ALL_MS = 30 * 1000,
};

void farewell_begin(struct conn *c, bool patient)
{
    conn_set_state(c, CONN_LINGER);
    c->patient = patient && !c->half_closed;
    if (!c->half_closed) /* else nothing is left to wait for but the write queue */
        stream_shutdown(&c->stream);
    c->linger_until_ms = loop_now(c->front->loop) + PATIENT_IN_ALL_MS;
    conn_set_deadline(c, c->half_closed ? 0 : c->patient ? PATIENT_MS : LINGER_MS);
    if (!c->in_data) /* reading may have stopped */
        stream_poke(&c->stream);
}

size_t farewell_discard(struct conn *c, struct slice bytes)
{
    uint64_t now = loop_now(c->front->loop);
    c->discarded += bytes.len;
    if (c->patient && now < c->linger_until_ms) {
        conn_set_deadline(c, MIN((uint64_t)PATIENT_MS, c->linger_until_ms - now));
    } else if (c->patient || c->discarded > LINGER_BYTES) {
        if (stream_queued(&c->stream) == 0)
            conn_close(c, false);
        else
            stream_pause(&c->stream);
    }
    return bytes.len;
}

void farewell_deadline(struct conn *c)
{
    if (stream_queued(&c->stream)) /* the other timer ends it when nothing is taken */
        conn_set_deadline(c, LINGER_MS);
    else
        conn_close(c, false);
}

/* The usual answer to what is refused, unless the handler has a better one. */
static struct http_answer refusal_answer(struct conn *c, const struct refusal *why,
                                         struct slice id)
{
    struct front *f = c->front;
    struct http_answer answer;
    if (c->exchange && c->exchange->request.method.len && f->handler->refusing &&
        f->handler->refusing(f->handler, &c->exchange->request, why, &answer))
        return answer;
    buf_clear(&f->scratch);
    response_problem(&f->scratch, why->status, slice_of(why->detail), (struct slice){0}, id,
                     (struct slice){0});
    return (struct http_answer){
        .status = why->status,
        .content_type = SLICE("application/problem+json"),
        .body = buf_slice(&f->scratch),
    };
}

/* Says so, and ends the connection. */
static void say(struct conn *c, const struct refusal *why, bool to_head)
{
    struct front *f = c->front;
    char id[REQUEST_ID_LEN];
    bool has_id = c->exchange && c->exchange->request.id.len;
    bool in_body = c->exchange && (c->exchange->in.is_chunked || c->exchange->in.left);
    struct http_framing framing = {
        .to_head = to_head,
        .close = true,
        .date = front_date(f),
        .id = has_id ? c->exchange->request.id : front_make_id(f, id),
    };
    struct http_answer answer = refusal_answer(c, why, framing.id);
    outgoing_watch(c);
    response_write(stream_out(&c->stream), &answer, &framing);
    conn_end_exchange(c);
    farewell_begin(c, in_body);
}

void farewell_refuse(struct conn *c, const struct refusal *why, bool to_head)
{
    struct front *f = c->front;
    say(c, why, to_head);
    if (f->handler->refused)
        f->handler->refused(f->handler, ip_plain(slice_of(c->ip)), why);
}

void farewell_refuse_body(struct conn *c, const struct refusal *why)
{
    struct http_handler *handler = c->front->handler;
    struct exchange *x = c->exchange;
    bool begun = x->out.begun;
    conn_report(c, begun ? x->out.status : why->status, x->out.body_bytes);
    handler->gone(handler, x);
    if (begun) {
        conn_end_exchange(c);
        conn_close(c, true);
    } else {
        say(c, why, x->to_head);
    }
}
