/*
 * relay: one request on its way to a worker, and its answer on the way back.
 *
 * Lives in the exchange's arena and ends with it.  It begins in one way, "plain": the body, if
 * it comes in pieces, is passed on as the worker gives credit (or is spooled first, for a
 * worker that does one thing at a time), and the answer is passed on whole or in pieces.  When
 * the worker answers 101 the relay goes on in another: "tunnel" (bytes both ways) or "socket"
 * (messages of a WebSocket).
 */
#pragma once

#include "app/gateway.h"

struct relay;

/* What a relay does with what happens to it.  Each may end the relay. */
struct relay_way {
    /* From the worker: see struct call_ops. */
    void (*part)(struct relay *, const struct frame *);
    void (*done)(struct relay *, const struct call_reply *);
    void (*room)(struct relay *);

    /* From the client: see struct http_handler.  `gone`: cancel the call, free what is held. */
    void (*body)(struct relay *);
    void (*drained)(struct relay *);
    void (*gone)(struct relay *);
};

struct relay {
    struct pending pending;
    struct call call;
    const struct relay_way *way;
    struct gateway *gateway;
    struct exchange *exchange;
    struct slice line; /* all of the request line but id and time */
    struct pool *pool;
    struct spool *spool;      /* the body is collected here first; or NULL */
    struct websocket *socket; /* of the way "socket" */
    bool begun;               /* the head of the answer has been sent */
    bool body_done;           /* the worker has been given the end of the body */
};

/* Begins a request of this route. */
void relay_begin(struct gateway *, struct exchange *, const struct router_match *);

/*
 * The way "socket": the worker accepted with this head (status 101).  The exchange becomes a
 * WebSocket whose messages are frames, within the credit of both sides.  On failure the client
 * has been answered and the call is cancelled.
 */
void socket_begin(struct relay *, const struct frame *head);
