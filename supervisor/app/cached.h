/*
 * cached: routes whose answers are kept, where the cache meets the pools.
 *
 * What several clients ask for at once is asked of the worker once:
 *
 *      request ──> fresh answer? ──yes──> sent (HIT)
 *                       │ no
 *                       v
 *               same thing under way? ──yes──> waits for it ──┐
 *                       │ no                                  │
 *                       v                                     v
 *                   a flight: one call to the pool ──> can it be kept?
 *                                                        │ yes         │ no
 *                                                        v             v
 *                                   the first: MISS, who waited: HIT   the first has it,
 *                                                                      who waited asks alone
 *
 * See flight.h for that.  What cannot be kept is nobody else's: who waited for it asks the
 * worker alone, and a mark keeps those who come after from waiting at all, for MARK_MS or until
 * an answer can be kept again (Varnish calls it hit-for-miss).  Alone asks also who may not
 * share: requests with Authorization or no-store (BYPASS).  When the call itself fails, all who
 * wait get that failure.
 *
 * The key is scheme, host, path and query, byte for byte, with the values of
 * `cache_headers`, with the route's settings, so that other settings find nothing of old,
 * and with the coding that the client would get: what is kept is compressed already.
 */
#pragma once

#include "http/cache.h"

struct exchange;
struct gateway;
struct pool;
struct router_match;

/* A route's part of it. */
struct cache_rule {
    uint64_t ttl_ms;      /* of an answer that does not say; 0 = nothing is kept */
    struct slice headers; /* lower case, one a line */
    uint64_t id;          /* the same for the same settings */
};

struct cached {
    struct cache cache;
    struct gateway *gateway;
    struct keymap open;  /* struct flight.node: may still be joined */
    struct list flights; /* struct flight.link: all */
    struct buf key;      /* these are reused */
    struct buf values;
};

/* limit_bytes: for all answers; 0 = none is kept. */
void cached_init(struct cached *, struct gateway *, size_t limit_bytes);

/* After the end of all requests. */
void cached_deinit(struct cached *);

/* Another bound. */
void cached_resize(struct cached *, size_t limit_bytes);

/*
 * A request for a route with a rule: answers it, now or later.  False when it is none of
 * its business (another method; no memory for a cache), and then nothing was done.
 */
bool cached_take(struct cached *, struct exchange *, const struct router_match *);

/* A method that writes has succeeded: what is kept of its target is stale. */
void cached_wrote(struct cached *, const struct http_request *);

/* The pool runs other code from now on, or ends: forgets what it answered. */
void cached_purge_pool(struct cached *, const struct pool *);
