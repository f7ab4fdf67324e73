/*
 * conn: one HTTP/1.1 connection.
 *
 *          first byte       head complete     body complete      answered
 *    IDLE ───────────> HEAD ────────────> BODY ──────────> BUSY ──────────────────> IDLE
 *     │                 │                  │               │ │ file     all sent    ^ ^
 *     │                 │                  │               │ └─────> SENDING ───────┘ │
 *     │                 │                  │               │            │             │
 *     │                 │ refused          │ refused       │ answered   │ before the  │
 *     │                 │                  │               └───┬────────┘ body was in │
 *     │                 │                  │                   v           skipped    │
 *     │                 │                  │                  REST ───────────────────┘
 *     │ idle too long,  v                  v
 *     └────────────> LINGER ────────> CLOSED       (every state but IDLE ends in these)
 *
 * (States may be skipped: a request that arrives whole goes from IDLE to BUSY.)  One
 * request at a time: what is pipelined behind it stays in the stream.
 *
 * BODY collects a body that the handler is given whole.  A body that it is given in pieces
 * arrives while the connection is BUSY, and is not read faster than it is consumed.
 * BUSY also holds an answer in pieces, and a tunnel; SENDING, a file that the connection
 * sends on by itself.  REST throws away what remains of a body that nobody wants, so that the
 * next request can be read.
 *
 * LINGER: all is said, the write side is shut, and what the client still sends is thrown
 * away for a moment, because closing on unread bytes would reset the connection and
 * could take the answer with it.
 *
 * A client that shuts its side down within GONE_AFTER_MS of its request did so with
 * its request, and is answered; one that does so later has left.
 *
 * accept.c: how it begins; conn.c: states and what arrives; incoming.c: bodies; outgoing.c:
 * answers; farewell.c: how it ends.
 */
#pragma once

#include "http/exchange.h"
#include "http/parse.h"
#include "http/stored.h"
#include "loop/listener.h"
#include "loop/stream.h"

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_BUSY,
    CONN_SENDING,
    CONN_REST,
    CONN_LINGER,
    CONN_CLOSED
};

enum { CONN_IP_MAX = 46 };

struct conn {
    struct stream stream;
    struct front *front;
    struct exchange *exchange; /* BODY, BUSY, SENDING */
    struct list node;          /* in front->idle or front->active */
    struct timer timer;        /* the present state's deadline */
    struct timer send;         /* does the client take what it is sent? */
    uint64_t send_since_ms;
    uint64_t send_arrived; /* what of it was there at that time */
    uint64_t whole_ms;     /* BUSY, SENDING: since when the request is whole */
    uint64_t rest;         /* REST: bytes of the body still to come */
    uint64_t linger_until_ms;
    size_t discarded; /* LINGER */
    struct head_scan scan;
    enum conn_state state;
    uint8_t blank_lines; /* in front of the next request */
    bool in_data;        /* the stream is being read: no need to ask it for more */
    bool half_closed;    /* the client has ended its side */
    bool trusted;        /* the peer is a trusted proxy */
    bool is_lean;        /* the kernel was told to keep little of what is unsent */
    bool patient;        /* LINGER: the client may be in the midst of a long body */
    char ip[CONN_IP_MAX];
};

/* Takes a waiting connection; at the limit at the cost of an idle one. */
void conn_accept(struct front *, struct listener *);

/* The server drains: an idle connection has only a moment left. */
void conn_hurry(struct conn *);

/* A head may be as long as this. */
void conn_widen(struct conn *, size_t head_bytes);

/* At once; a handler that has a request is told. */
void conn_drop(struct conn *);

/* ------------------------------------------------------- between its parts */

/* Not connected yet; NULL when there cannot be one. */
struct conn *conn_new(struct front *, bool is_unix);

/* Connected: waits for the first request. */
void conn_start(struct conn *);

/* The only writer of `state`. */
void conn_set_state(struct conn *, enum conn_state);

/* Of the present state; see on_deadline(). */
void conn_set_deadline(struct conn *, uint64_t ms);

/* At once, without telling anybody.  The exchange must have ended. */
void conn_close(struct conn *, bool reset);

/* Nobody waits for an answer any more: tells the handler that has the request. */
void conn_abandon(struct conn *, bool reset);

/* Gives the exchange to the handler; `more` of the request says how. */
void conn_hand_over(struct conn *);

/*
 * The answer is said.  The exchange ends; the connection goes on with the next request, if
 * it may, or lingers.
 */
void conn_answered(struct conn *, unsigned status, uint64_t body_bytes, bool close);

/* For the access log. */
void conn_report(struct conn *, unsigned status, uint64_t body_bytes);

/* The exchange is over, answered or not. */
void conn_end_exchange(struct conn *);
