#include "pool/call.h"

#include <assert.h>

#include "pool/blame.h"

void call_init(struct call *c, enum call_kind kind, const struct call_ops *ops)
{
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    c->ops = ops;
    list_init(&c->node);
    list_init(&c->wants);
}

void call_describe(const struct call *c, struct call_about *about)
{
    *about = (struct call_about){.origin = c};
    if (c && c->ops->describe)
        c->ops->describe(c, about);
}

/* After this the call is in no list, no slot and no timer: it is over. */
static void detach(struct call *c)
{
    struct pool *pool = c->pool;
    if (!list_empty(&c->node)) {
        list_del(&c->node);
        pool_left_queue(pool, c);
    }
    timer_stop(pool->pools->loop, &c->timer);
    c->pool = NULL;
}

static void complete(struct call *c, const struct call_reply *reply)
{
    assert(c->pool && !c->slot);
    if (!reply->failure)
        blame_acquit(c->pool, c);
    detach(c);
    c->ops->done(c, reply);
}

void call_answer(struct call *c, const struct frame *frame)
{
    complete(c, &(struct call_reply){.frame = frame});
}

void call_finish(struct call *c, const struct frame *frame, struct slice body)
{
    complete(c, &(struct call_reply){.frame = frame, .body = body});
}

void call_fail(struct call *c, const struct call_failure *failure)
{
    complete(c, &(struct call_reply){.failure = failure});
}

void call_cancel(struct call *c, const char *reason)
{
    if (!c->pool)
        return;
    if (c->slot)
        slot_abandon(c->slot, reason);
    detach(c);
}
