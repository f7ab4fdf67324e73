#include "http/outgoing.h"

#include <assert.h>
#include <unistd.h>

#include "http/farewell.h"
#include "http/incoming.h"

enum {
    COPIED_MAX = 32 * 1024,  /* a file up to this leaves in one piece with its head */
    UNSENT_MAX = 128 * 1024, /* what the kernel may keep of an answer in pieces */
    CHUNK_HEAD = 20,         /* a length in hexadecimal digits, and CRLF */
};

/* ------------------------------------------------------------------ timeout */

static void on_send_check(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, send);
    uint64_t limit = c->front->limits.send_timeout_ms;
    uint64_t now = loop_now(c->front->loop);
    if (stream_queued(&c->stream) == 0 && !c->stream.file)
        return;
    if (c->exchange && c->exchange->tunnel)
        return;
    uint64_t arrived = stream_arrived(&c->stream);
    if (arrived != c->send_arrived) {
        c->send_arrived = arrived;
        c->send_since_ms = now;
    }
    uint64_t waited = now - c->send_since_ms;
    if (waited >= limit)
        conn_abandon(c, true);
    else
        timer_start(c->front->loop, &c->send, limit - waited, on_send_check);
}

/*
 * A client that takes nothing is reset one to two timeouts after: what has arrived is only
 * asked for when the timer fires, which is cheaper than at each beginning.
 * The timer is left running when all has been sent: it looks once for nothing then, which
 * is cheaper than starting it for every answer.
 */
void outgoing_watch(struct conn *c)
{
    if (stream_queued(&c->stream) == 0) {
        c->send_since_ms = loop_now(c->front->loop);
        c->send_arrived = 0;
    }
    if (!timer_runs(&c->send))
        timer_start(c->front->loop, &c->send, c->front->limits.send_timeout_ms, on_send_check);
}

/* -------------------------------------------------------------------- whole */

/* What only the connection knows of the answer that is to be written now. */
static struct http_framing frame_answer(struct conn *c)
{
    const struct exchange *x = c->exchange;
    uint64_t unread;
    assert(c->state == CONN_BUSY && !x->out.begun);
    outgoing_watch(c);
    return (struct http_framing){
        .to_head = x->to_head,
        .close = !x->keep_alive || c->front->draining || !incoming_skippable(x, &unread),
        .keep_alive = x->request.version_minor == 0,
        .id = x->request.id,
    };
}

void outgoing_answer(struct conn *c, const struct http_answer *answer)
{
    struct http_framing framing = frame_answer(c);
    framing.date = front_date(c->front);
    size_t body = response_write(stream_out(&c->stream), answer, &framing);
    conn_answered(c, answer->status, body, framing.close);
}

static void on_loan_end(void *owner)
{
    stored_drop(owner);
}

void outgoing_send(struct conn *c, const struct stored_sending *sending)
{
    struct http_framing framing = frame_answer(c);
    size_t body_bytes;
    struct slice body = stored_write(stream_out(&c->stream), sending, &framing, &body_bytes);
    if (body.len)
        stream_lend(&c->stream, &(struct loan){.bytes = body,
                                               .end = on_loan_end,
                                               .owner = stored_hold(sending->stored)});
    conn_answered(c, sending->not_modified ? 304 : sending->stored->status, body_bytes,
                  framing.close);
}

/* ---------------------------------------------------------------- in pieces */

/* Writes a head behind which more follows. */
static void write_head(struct conn *c, const struct http_answer *answer,
                       const struct http_extent *extent)
{
    struct exchange *x = c->exchange;
    struct http_framing framing = frame_answer(c);
    uint64_t unread;
    framing.date = front_date(c->front);
    framing.close = !x->keep_alive || c->front->draining || extent->end == RESPONSE_TO_CLOSE;
    /* Who answers well while the body still comes most likely wants all of it. */
    if (answer->status >= 400 && !incoming_skippable(x, &unread))
        framing.close = true;
    if (extent->end == RESPONSE_UPGRADE)
        framing.close = framing.keep_alive = false;
    response_write_head(stream_out(&c->stream), answer, &framing, extent);
    x->out = (struct outgoing){
        .status = answer->status,
        .end = extent->end,
        .left = extent->length,
        .begun = true,
        .close = framing.close,
    };
}

void outgoing_begin(struct conn *c, const struct http_answer *answer, bool has_length,
                    uint64_t length)
{
    const struct exchange *x = c->exchange;
    struct http_extent extent = {.end = RESPONSE_CHUNKED};
    if (!response_may_have_body(answer->status, x->to_head))
        extent.end = RESPONSE_NO_BODY;
    else if (has_length)
        extent = (struct http_extent){.end = RESPONSE_LENGTH, .length = length};
    else if (x->request.version_minor == 0)
        extent.end = RESPONSE_TO_CLOSE;
    write_head(c, answer, &extent);
    if (!c->is_lean)
        stream_limit_unsent(&c->stream, UNSENT_MAX);
    c->is_lean = true;
    IGNORE(outgoing_write(c, answer->body)); /* what is too much is cut off */
}

static void write_chunk(struct buf *out, struct slice bytes)
{
    char *at = buf_reserve(out, CHUNK_HEAD + bytes.len + 2);
    char digits[16];
    size_t from = sizeof(digits);
    for (size_t n = bytes.len; n; n >>= 4)
        digits[--from] = "0123456789abcdef"[n & 15];
    size_t count = sizeof(digits) - from;
    memcpy(at, digits + from, count);
    memcpy(at + count, "\r\n", 2);
    memcpy(at + count + 2, bytes.ptr, bytes.len);
    memcpy(at + count + 2 + bytes.len, "\r\n", 2);
    out->len += count + bytes.len + 4;
}

bool outgoing_write(struct conn *c, struct slice bytes)
{
    struct outgoing *out = &c->exchange->out;
    bool fits = true;
    if (out->end == RESPONSE_LENGTH) {
        fits = bytes.len <= out->left;
        bytes.len = (size_t)MIN((uint64_t)bytes.len, out->left);
        out->left -= bytes.len;
    }
    if (bytes.len == 0 || out->end == RESPONSE_NO_BODY)
        return fits;
    if (out->end != RESPONSE_UPGRADE)
        outgoing_watch(c);
    if (out->end == RESPONSE_CHUNKED)
        write_chunk(stream_out(&c->stream), bytes);
    else
        stream_write(&c->stream, bytes);
    out->body_bytes += bytes.len;
    if (stream_unsent(&c->stream) > EXCHANGE_LOW)
        out->high = true;
    return fits;
}

void outgoing_eased(struct conn *c)
{
    struct http_handler *handler = c->front->handler;
    if (c->state != CONN_BUSY || !c->exchange->out.high ||
        stream_unsent(&c->stream) > EXCHANGE_LOW)
        return;
    c->exchange->out.high = false;
    if (handler->drained)
        handler->drained(handler, c->exchange);
}

bool outgoing_end(struct conn *c, const struct field *trailers, size_t count)
{
    struct exchange *x = c->exchange;
    assert(x->out.begun);
    if (x->out.end == RESPONSE_LENGTH && x->out.left) {
        outgoing_abort(c);
        return false;
    }
    if (x->out.end == RESPONSE_CHUNKED) {
        outgoing_watch(c);
        response_write_last_chunk(stream_out(&c->stream), trailers, count);
    }
    if (x->tunnel)
        outgoing_watch(c); /* from now on it may be left */
    conn_answered(c, x->out.status, x->out.body_bytes, x->out.close || x->tunnel);
    return true;
}

/* Where the client can tell that bytes are missing, it gets those that there are. */
void outgoing_abort(struct conn *c)
{
    const struct outgoing *out = &c->exchange->out;
    bool is_seen = out->end == RESPONSE_CHUNKED || out->end == RESPONSE_LENGTH;
    if (out->begun && is_seen) {
        conn_answered(c, out->status, out->body_bytes, true);
        return;
    }
    conn_report(c, out->begun ? out->status : 500, out->body_bytes);
    conn_end_exchange(c);
    conn_close(c, true);
}

/* -------------------------------------------------------------------- files */

/* Behind the head, in the same write. */
static bool copy_file(struct buf *out, const struct http_file *file)
{
    char *room = buf_reserve(out, (size_t)file->length);
    size_t done = 0;
    while (done < file->length) {
        ssize_t n = pread(file->fd, room + done, (size_t)file->length - done,
                          (off_t)(file->offset + done));
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    out->len += done;
    return true;
}

static void on_file_end(struct stream_file *file, int status)
{
    struct exchange *x = container_of(file, struct exchange, file);
    struct conn *c = x->conn;
    close(file->fd);
    x->out.body_bytes -= file->left;
    if (status == 0) {
        conn_answered(c, x->out.status, x->out.body_bytes, x->out.close);
        return;
    }
    conn_report(c, x->out.status, x->out.body_bytes);
    conn_end_exchange(c);
    conn_close(c, true);
}

bool outgoing_file(struct conn *c, const struct http_answer *answer,
                   const struct http_file *file)
{
    struct exchange *x = c->exchange;
    struct buf *out = stream_out(&c->stream);
    struct http_extent extent = {.end = RESPONSE_LENGTH, .length = file->length};
    bool has_body = response_may_have_body(answer->status, x->to_head) && file->length;
    size_t before = out->len;
    if (!has_body && answer->status != 200 && answer->status != 206)
        extent.end = RESPONSE_NO_BODY;
    write_head(c, answer, &extent);
    if (has_body && file->length > COPIED_MAX) {
        x->out.body_bytes = file->length;
        x->file = (struct stream_file){
            .fd = file->fd,
            .offset = file->offset,
            .left = file->length,
            .end = on_file_end,
        };
        conn_set_state(c, CONN_SENDING);
        stream_send_file(&c->stream, &x->file);
        return true;
    }
    if (has_body && !copy_file(out, file)) {
        out->len = before;
        x->out = (struct outgoing){0};
        return false;
    }
    close(file->fd);
    conn_answered(c, answer->status, has_body ? file->length : 0, x->out.close);
    return true;
}

void outgoing_drop_file(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (c->stream.file)
        stream_file_cancel(&x->file);
    close(x->file.fd);
    conn_report(c, 499, x->out.body_bytes - x->file.left);
}

/* ------------------------------------------------------------------ upgrade */

void outgoing_upgrade(struct conn *c, const struct http_answer *answer)
{
    struct http_extent extent = {.end = RESPONSE_UPGRADE,
                                 .upgrade = c->exchange->request.upgrade};
    write_head(c, answer, &extent);
    timer_stop(c->front->loop, &c->timer);
    incoming_open_tunnel(c);
}
