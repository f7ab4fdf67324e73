/*
 * proxy_flow: one request of a proxy, and its bytes: to the target and back, neither faster
 * than the other side takes them.
 */
#pragma once

#include "app/gateway.h"
#include "app/proxy.h"

enum { TRIED_MAX = 16 };

/* Lives in the exchange's arena and is its data. */
struct proxied {
    struct pending pending;
    struct list node; /* in proxy->active */
    struct list wait; /* in proxy->waiting, or in none */
    struct proxy *proxy;
    struct exchange *exchange;
    struct config *config; /* held: the route may be part of it */
    const struct route_config *route;
    const char *service; /* its name; NULL: it is of addresses */
    struct share_wish wish;
    uint64_t timeout_ms;  /* until the answer's head */
    uint64_t deadline_ms; /* until a target that is well */
    uint64_t again_ms;    /* waiting: not before this, but for news */
    uint64_t calm_ms;     /* waiting: not before this, whatever the news */
    struct proxy_target *target;
    struct use use; /* of a service's target: its instance */
    struct upstream_link *link;
    struct coder *coder;       /* what the answer goes through, or NULL */
    uint64_t tried[TRIED_MAX]; /* ids of targets, in this round */
    unsigned tried_count;
    unsigned attempts; /* of this round, without being begun */
    unsigned retries;  /* after it was begun */
    unsigned deaths;   /* of processes that had it */
    bool idempotent;
    bool fresh;        /* the next connection must be a new one */
    bool begun;        /* the link has it */
    bool sending;      /* more of the body is to be sent */
    bool consumed;     /* a piece of the body has left: it cannot be sent again */
    bool headed;       /* the answer's head has been passed on */
    bool tunnel;       /* other bytes than HTTP's go both ways */
    bool endless;      /* silence is no failure */
    bool paused;       /* the client has not taken what was written */
    bool broken;       /* the link is gone: waits for the verdict on the instance */
    bool unseen;       /* broken: not a byte had left */
    bool stale;        /* broken: it was a kept link, and nothing was heard */
    char trouble[256]; /* why there is no answer yet */
};

/* What the link's client calls. */
extern const struct client_ops proxied_ops;

/* p->link is open: the request is sent, with as much of its body as there is. */
void proxied_send(struct proxied *);

/* More of the body is there, or may be written. */
void proxied_pump(struct proxied *);

/* The client has taken what was written. */
void proxied_drained(struct proxied *);

/* ------------------------------------------------------------- of proxy.c */

/* The link failed before the answer's head; it is still there. */
void proxied_lost(struct proxied *, enum client_failure, const char *why);

/* It broke off behind the answer's head: the client's connection is cut. */
void proxied_cut(struct proxied *, enum client_failure, const char *why);

/*
 * Lets go of all that the request holds, before the exchange is ended.  give: the link may be
 * kept.
 */
void proxied_end(struct proxied *, bool give);

/* The answer has begun: whatever ends the instance from now on, it was not the request. */
void proxied_answers(struct proxied *);

/* Answers by itself; the request is over. */
void proxied_fail(struct proxied *, unsigned status, const char *why);

/* Whose the request is: for the log, and for the client, who is not told of addresses. */
const char *proxied_log_name(const struct proxied *);
const char *proxied_name(const struct proxied *);
