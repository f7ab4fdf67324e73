/*
 * flight: one call to a worker for all who want the same answer.
 *
 * It is nobody's: the call goes on while somebody waits, whoever began it, and ends when
 * the last client has left.  It asks with GET, also for HEAD, and without conditions and
 * ranges, which are judged when the answer is sent; only one that nobody may join asks
 * as its request did.
 *
 *      the answer can be kept      all who wait get it
 *      it cannot                   who began has it; the others are routed anew
 *      the call fails              all who wait get the failure
 *
 * Who waits does so within the time of its route, because the call began before.
 */
#pragma once

#include "app/gateway.h"

struct flight;

/* A request that waits.  Lives in its exchange's arena and is the exchange's data. */
struct waiter {
    struct pending pending;
    struct list node; /* in the flight's waiters */
    struct exchange *exchange;
    struct flight *flight;
    struct cache_wish wish;
    uint64_t deadline_ms;
    unsigned rounds; /* flights that were of no use to it */
    bool began;      /* this flight */
};

struct waiter *waiter_new(struct exchange *, uint64_t deadline_ms);

/* What to ask, and for whom.  All is copied. */
struct flight_form {
    struct slice id;  /* the key, and the variant as far as one is known */
    size_t key_bytes; /* the key is this much of it */
    uint64_t key_hash;
    struct cache_ticket ticket;
    const struct router_match *match;
    bool alone; /* nobody may join */
};

/* Asks the same thing, and not before a write to it.  NULL when there is none. */
struct flight *flight_find(const struct cached *, struct slice id);

void flight_join(struct flight *, struct waiter *);

/* Asks with the waiter's request, which is answered at once if that cannot be. */
void flight_begin(struct cached *, const struct flight_form *, struct waiter *);

/* What the pool was asked is not kept any more, and cannot be joined. */
void flight_outdate(struct cached *, const struct pool *);

/* Sends what is kept, or 304.  Ends the exchange. */
void flight_send_stored(struct exchange *, struct stored *, const struct cache_wish *,
                        bool is_hit, uint64_t now_ms);
