#include "app/squeeze.h"

#include "app/gateway.h"
#include "http/encoder.h"

/* Lives in the exchange's arena. */
struct squeeze {
    struct pending pending;
    struct timer turn;
    struct loop *loop;
    struct exchange *exchange;
    struct encoder *encoder;
    struct buf body;
    size_t done; /* bytes of it */
    struct buf out;
};

static bool is_done(const struct squeeze *s)
{
    return s->done == s->body.len;
}

static void release(struct squeeze *s)
{
    timer_stop(s->loop, &s->turn);
    encoder_free(s->encoder);
    buf_deinit(&s->body);
    buf_deinit(&s->out);
}

static struct slice next_piece(struct squeeze *s)
{
    size_t len = MIN(s->body.len - s->done, (size_t)ENCODER_TURN);
    struct slice piece = {s->body.ptr + s->done, len};
    s->done += len;
    buf_clear(&s->out);
    encoder_write(s->encoder, piece, is_done(s) ? ENCODER_END : ENCODER_MORE, &s->out);
    return buf_slice(&s->out);
}

static void on_turn(struct timer *timer)
{
    struct squeeze *s = container_of(timer, struct squeeze, turn);
    struct exchange *x = s->exchange;
    if (exchange_unsent(x) > EXCHANGE_LOW)
        return;
    exchange_write(x, next_piece(s));
    if (!is_done(s)) {
        timer_start(s->loop, timer, 0, on_turn);
        return;
    }
    release(s);
    exchange_end(x, NULL, 0);
}

static void on_drained(struct pending *pending)
{
    struct squeeze *s = container_of(pending, struct squeeze, pending);
    timer_start(s->loop, &s->turn, 0, on_turn);
}

static void on_gone(struct pending *pending)
{
    release(container_of(pending, struct squeeze, pending));
}

bool squeeze_respond(struct loop *loop, struct exchange *x, enum coding coding,
                     const struct http_answer *answer, struct err *why)
{
    struct squeeze *s = arena_alloc(exchange_arena(x), sizeof(*s));
    *s = (struct squeeze){.pending = {.gone = on_gone, .drained = on_drained},
                          .loop = loop,
                          .exchange = x,
                          .encoder = encoder_new(coding, answer->body.len)};
    buf_add(&s->body, answer->body);
    struct http_answer head = *answer;
    head.body = next_piece(s);
    if (!exchange_begin(x, &head, why)) {
        release(s);
        return false;
    }
    exchange_set_data(x, &s->pending);
    timer_start(loop, &s->turn, 0, on_turn);
    return true;
}
