/*
 * The way "tunnel" of a relay: after an upgrade bytes go both ways as they are.
 */
#include "app/relay.h"
#include "app/reply.h"

static void on_part(struct relay *r, const struct frame *f, struct slice body)
{
    IGNORE(outflow_part(&r->outflow, f, body, NULL)); /* then it has ended */
}

static void on_done(struct relay *r, const struct call_reply *reply)
{
    outflow_done(&r->outflow, reply);
}

static void on_drained(struct relay *r)
{
    outflow_drained(&r->outflow);
}

static const struct relay_way tunnel = {
    .part = on_part,
    .done = on_done,
    .room = relay_pump,
    .body = relay_pump,
    .drained = on_drained,
    .gone = relay_give_up,
};

void tunnel_begin(struct relay *r, const struct frame *head, struct slice body)
{
    struct http_answer answer;
    struct err err;
    if (!reply_read_head(head, exchange_arena(r->exchange), &answer, &err) ||
        !exchange_upgrade(r->exchange, &answer, &err)) {
        relay_give_up(r);
        gateway_fail_answer(r->gateway, r->exchange, r->pool, err.text);
        return;
    }
    r->way = &tunnel;
    r->upgrading = false;
    r->outflow.begun = true;
    exchange_set_endless(r->exchange);
    on_part(r, &(struct frame){.kind = FRAME_CHUNK}, body);
}
