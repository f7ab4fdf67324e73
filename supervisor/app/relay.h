/*
 * relay: one request on its way to a worker, and its answer on the way back.
 *
 * Lives in the exchange's arena and ends with it.  It begins in one way, "plain":
 *
 *      body whole, or none ────────────────────────────> submitted
 *      body in pieces, worker of many at a time ───────> submitted, pieces follow with its
 * credit body in pieces, worker of one at a time ──spool─> submitted when all of it is here
 *
 * and its answer is passed on whole, in pieces (outflow.h), or as a file (filed.h).  When the
 * worker answers 101 the relay goes on in another way: "tunnel" (bytes in both directions,
 * tunnel.c) or "socket" (messages of a WebSocket, socket.c).
 */
#pragma once

#include "app/gateway.h"
#include "app/outflow.h"

struct relay;

/* What a relay does with what happens to it.  Each may end the relay. */
struct relay_way {
    /* From the worker: see struct call_ops. */
    void (*part)(struct relay *, const struct frame *, struct slice body);
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
    struct pool *pool; /* once it is submitted */
    struct slice only; /* the pool's name, when it is not the path's; else empty */
    struct slice line; /* all of the request line but id and time */
    struct outflow outflow;
    struct spool *spool;      /* the body is collected here first; or NULL */
    uint64_t spool_at;        /* so much of that the worker has been given */
    struct websocket *socket; /* of the way "socket" */
    bool submitted;
    bool upgrading; /* the worker was told that the client would change the protocol */
};

/*
 * Begins a request of this route.  only: the pool's name when the path alone does not lead to
 * it (else empty); it lives as long as the exchange.
 */
void relay_begin(struct gateway *, struct exchange *, const struct router_match *,
                 struct slice only);

/* Sends as much of the exchange's body as the worker has room for, and its end. */
void relay_pump(struct relay *);

/* The call is cancelled and what the relay held is freed; the exchange is left. */
void relay_give_up(struct relay *);

/*
 * The way "tunnel": the worker accepted with this head (status 101), whose body are the first
 * bytes.  On failure the client has been answered and the call is cancelled.
 */
void tunnel_begin(struct relay *, const struct frame *head, struct slice body);

/*
 * The way "socket": the worker accepted with this head (status 101).  The exchange becomes a
 * WebSocket whose messages are frames, within the credit of both sides.  On failure the client
 * has been answered and the call is cancelled.
 */
void socket_begin(struct relay *, const struct frame *head);
