/*
 * balance: which of several targets gets a request.  Pure.
 *
 * By hash a request goes to the same target as long as that one is well, and when a target
 * comes or goes only its own share moves: rendezvous hashing (Thaler and Ravishankar, "Using
 * name-based mappings to increase hit rates", 1998).  `random` takes the less loaded of two
 * (Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
 */
#pragma once

#include "base/siphash.h"
#include "config/config.h"

/* What is known of a target when a request comes. */
struct share {
    uint64_t id;     /* the same as long as it is the same target */
    unsigned active; /* requests it has */
    uint64_t turn;   /* when it was chosen last, as a number that only grows */
    bool well;       /* has not failed lately */
    bool out;        /* must not be chosen: this request has been there */
};

/* What the request brings. */
struct share_wish {
    int policy;      /* enum balance_policy */
    bool keyed;      /* there is a `key`: the address, the field, the cookie */
    uint64_t key;    /* hash of it */
    uint64_t cookie; /* POLICY_COOKIE: the id that the cookie names; 0 = none */
    uint64_t chance; /* POLICY_RANDOM: any number */
};

enum { SHARE_NONE = -1 };

/*
 * The index of the one to take.  When none is well those that are not are as good as others.
 * SHARE_NONE: all are out, or there is none.
 */
int share_choose(const struct share *, size_t count, const struct share_wish *);

/* Of a target's name; never 0. */
uint64_t share_id(struct slice name);

/* What a request's key is hashed to. */
uint64_t share_key(struct slice key);

enum { SHARE_COOKIE_LEN = 16 };

/* An id as the value of a cookie, and back: 0 when it is none. */
void share_write_cookie(uint64_t id, char text[SHARE_COOKIE_LEN + 1]);
uint64_t share_read_cookie(struct slice value);
