/*
 * outflow: an answer in pieces, from the worker's frames to its client, no faster than the
 * client takes it.
 *
 * What the client's connection has not taken is not credited to the worker, which thus waits:
 * at most a window of each answer lies in memory.
 */
#pragma once

#include "app/gateway.h"

struct outflow {
    struct gateway *gateway;
    struct exchange *exchange;
    struct call *call;
    const struct pool *pool;
    struct coder *coder; /* what it goes through, or NULL; see compress.h */
    size_t owed;         /* bytes that are written and not credited yet */
    bool begun;          /* its head has been written */
};

/*
 * A part of the answer (see struct call_ops): its head, with `extra` fields; a chunk; an
 * interim answer.  False when the answer is of no use: then the call is cancelled, the client
 * has been answered or cut off, and the exchange has ended.
 */
bool outflow_part(struct outflow *, const struct frame *, struct slice body,
                  const struct field *extra) MUST_CHECK;

/* The call is done, and the answer had begun: it ends, or is cut off.  Ends the exchange. */
void outflow_done(struct outflow *, const struct call_reply *);

/* The client has taken what was written. */
void outflow_drained(struct outflow *);

/* The client has left: lets go of what is held for it. */
void outflow_gone(struct outflow *);
