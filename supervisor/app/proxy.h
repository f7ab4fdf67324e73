/*
 * proxy: requests to services and to addresses, by HTTP/1.1.
 *
 *                   none is well
 *            ┌───> waits ─── try_duration ──> 503
 *            │       │ one is
 *      ──> chooses <─┘       ┌── its body, in pieces ──>┐
 *            │               │                          │
 *            └──> connects ──┴──> sent ──> head ──> body in pieces ──> done
 *                    │             │ timeout: 504      │ broken: the client's
 *                    │ refused     │ broken: 502       │ connection is cut
 *                    v             v
 *              not begun:      begun: another address only if the method may be done
 *              another         twice, all of the body is still here, and within `retries`
 *              address         and the budget of the target (a tenth of its requests)
 *
 * An instance of a service whose process ended while it had a request is no failure of the
 * others: that does not count for `retries`, unless these are 0.  Such a request is given to
 * two more at most, each time a moment later, when it is known who ended with the first; and
 * to none when quarantine says that it is to blame (see pool/blame.h).
 *
 * A kept connection that turns out to be closed is no failure: the same is tried on a new one,
 * if nothing had been sent on it or the method may be done twice.
 *
 * A failure of a target is that it cannot be reached, or breaks off or sends no HTTP before it
 * has answered; what it answers is its own business, also 503.
 */
#pragma once

#include "app/proxy_target.h"
#include "http/router.h"
#include "http/server.h"

struct gateway;

/* A route with no settings of its own: for a service that is asked by its name. */
extern const struct route_config proxy_plain_route;

struct proxy {
    struct gateway *gateway;
    struct proxy_targets targets;
    struct list active;   /* struct proxied.node: all requests */
    struct list waiting;  /* struct proxied.wait: no target was well */
    struct timer look;    /* those who wait try again */
    struct task news;     /* they do so now */
    struct share *shares; /* reused for each choice */
    struct candidate *candidates;
    size_t room; /* of both */
    uint64_t chance;
};

void proxy_init(struct proxy *, struct gateway *);
void proxy_deinit(struct proxy *);

/* The configuration of the gateway's routes is another one. */
void proxy_configure(struct proxy *);

/*
 * Hands a request to the service or the addresses of match->target.  Ends the exchange, sooner
 * or later; when its client leaves before, its `gone` must be told.
 */
void proxy_begin(struct proxy *, struct exchange *, const struct router_match *);

/*
 * A service is another than it was: who waits looks again, at the end of this turn.  Of a proxy
 * in zeroes nobody waits: pools may tell of themselves before there is one.
 */
void proxy_wake(struct proxy *);

/*
 * nodey stops: instances are not kept from ending by answers that would not end by themselves.
 */
void proxy_let_go(struct proxy *);

/* Closes what is kept open. */
void proxy_close(struct proxy *);
