/*
 * upstream: connections to one address, kept open between requests.
 *
 * A link is one of them.  It is lent to one request at a time, which speaks through its
 * client with ops of its own, and comes back idle or is dropped:
 *
 *      upstream_open ──> lent <──> idle ──> closed   (idle too long, the other side closed it,
 *                         │                           there are enough, or the end)
 *                         └──────> dropped
 *
 * An address with a name is looked up on another thread, at the beginning and again when it
 * was long ago or nobody answered; until the first lookup is done nothing can be opened.
 */
#pragma once

#include "http/client.h"

enum {
    UPSTREAM_IDLE_MAX = 128,       /* links that are kept */
    UPSTREAM_IDLE_MS = 4000,       /* how long, when the other side says nothing of it */
    UPSTREAM_IDLE_LONG_MS = 55000, /* at most, whatever it says */
};

struct upstream;

struct upstream_link {
    struct client client;
    struct list node; /* idle */
    struct upstream *upstream;
    struct timer rest;    /* idle: its end */
    uint64_t since_ms;    /* idle: since when */
    uint64_t promised_ms; /* how long the other side keeps it; 0: it did not say */
    void *owner;          /* lent: who has it */
    bool kept;            /* it was idle before */
};

struct upstream {
    struct loop *loop;
    struct peer peer; /* count 0: not looked up yet */
    struct lookup *lookup;
    uint64_t looked_up_ms;
    bool named;       /* the address holds a name */
    struct list idle; /* struct upstream_link.node: the newest first */
    size_t idle_count;
    size_t links;      /* all that exist, closing ones included */
    bool closing;      /* nothing is kept any more */
    char trouble[160]; /* why the lookup failed; "" = it did not */
};

/*
 * For "HOST:PORT" or "unix:PATH".  0, or a libuv code with a sentence when it is no address;
 * whether there is such a host is seen later.
 */
int upstream_init(struct upstream *, struct loop *, const char *address,
                  struct err *) MUST_CHECK;

/* For a port of this machine, on whichever of 127.0.0.1 and ::1 it listens. */
void upstream_init_local(struct upstream *, struct loop *, uint16_t port);

/* Closes what is idle; from now on nothing is kept, nor looked up. */
void upstream_close(struct upstream *);

/* After upstream_close(), and when `links` is 0. */
void upstream_deinit(struct upstream *);

/* May upstream_open() be called? */
static inline bool upstream_known(const struct upstream *u)
{
    return u->peer.count != 0;
}

/*
 * A kept link that is ready to send, and has been idle for no more than `idle_max_ms`; or NULL.
 * `ops` are the client's from now on, all but `opened` and `gone`.
 */
struct upstream_link *upstream_take(struct upstream *, uint64_t idle_max_ms,
                                    const struct client_ops *ops, void *owner);

/* A new one: `opened` follows, or `failed`. */
struct upstream_link *upstream_open(struct upstream *, uint64_t timeout_ms,
                                    const struct client_ops *ops, void *owner);

/* `opened`, or `failed` to: what it tells of the address is minded. */
void upstream_worked(struct upstream_link *);
void upstream_refused(struct upstream *);

/* How long the other side says that it keeps a link ("Keep-Alive: timeout=5"). */
void upstream_read_keep_alive(struct upstream_link *, const struct answer_head *);

/* Back, from `answered` on: kept if client_idle(), else dropped.  Nothing is called any more.
 */
void upstream_give(struct upstream_link *);

/* Closed at once.  Nothing is called any more. */
void upstream_drop(struct upstream_link *);
