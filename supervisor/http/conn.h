/*
 * conn: one HTTP/1.1 connection.
 *
 *            head incomplete     head complete     body complete       answered
 *      IDLE ────────────────> HEAD ────────> BODY ────────────> BUSY ──────────> IDLE
 *        │                      │   refused    │                  │ close
 *        │                      └──────┬───────┘                  │
 *        │ timeout, drain              v                          v
 *        └────────────────> CLOSED <── LINGER <───────────────────┘
 *
 * (States may be skipped: a request that arrives whole goes from IDLE to BUSY.)  One
 * request at a time: what is pipelined behind it stays in the stream.  LINGER: all is
 * said, the write side is shut, and what the client still sends is thrown away for a
 * moment, because closing on unread bytes would reset the connection and could take
 * the answer with it.
 *
 * A client that shuts its side down within GONE_AFTER_MS of its request did so with
 * its request, and is answered; one that does so later has left.
 */
#pragma once

#include "http/exchange.h"
#include "http/parse.h"
#include "http/stored.h"
#include "loop/listener.h"
#include "loop/stream.h"

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_LINGER, CONN_CLOSED };

enum { CONN_IP_MAX = 46 };

struct conn {
    struct stream stream;
    struct front *front;
    struct exchange *exchange; /* BODY, BUSY */
    struct list node;          /* in front->idle or front->active */
    struct timer timer;        /* the present state's deadline */
    struct timer send;         /* does the client take what it is sent? */
    uint64_t send_since_ms;
    uint64_t send_taken; /* the kernel's share at that time */
    uint64_t handed_ms;  /* BUSY: since when */
    size_t discarded;    /* LINGER */
    struct head_scan scan;
    enum conn_state state;
    uint8_t blank_lines; /* in front of the next request */
    bool in_data;        /* the stream is being read: no need to ask it for more */
    bool half_closed;    /* the client has ended its side */
    bool trusted;        /* the peer is a trusted proxy */
    char ip[CONN_IP_MAX];
};

/* Takes a waiting connection; at the limit at the cost of an idle one. */
void conn_accept(struct front *, struct listener *);

/* Answers the request that the handler has; the exchange ends. */
void conn_answer(struct conn *, const struct http_answer *);
void conn_send(struct conn *, const struct stored_sending *);

/* The server drains: an idle connection has only a moment left. */
void conn_hurry(struct conn *);

/* A head may be as long as this. */
void conn_widen(struct conn *, size_t head_bytes);

/* At once; a handler that has a request is told. */
void conn_drop(struct conn *);
