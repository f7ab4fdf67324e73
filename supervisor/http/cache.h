/*
 * cache: answers by what was asked for, within a bound of memory.
 *
 * Several answers may be kept for one key, told apart by the request fields that they
 * vary by.  What has expired is freed when it is met, and by eviction.  Who goes when
 * room is needed is decided by SIEVE (Zhang and others, NSDI 2024): one queue in the
 * order of arrival, and a hand that walks from the oldest to the newest, spares once
 * what was used since it last came by, and takes the first that was not.  A hit sets one
 * bit, and a flood of keys that are asked for once does not push out the popular ones.
 *
 * A write to a resource makes what is kept of it stale, and so must an answer be that
 * was asked for before the write and comes after it.  Keys are therefore spread over
 * slots with a count of writes each; what is kept remembers the count of when it was
 * asked for (struct cache_ticket).  That two keys share a slot costs a miss at times.
 *
 * Pure.  `struct cache` is in the owner's memory; see cache_init().
 */
#pragma once

#include "base/siphash.h"
#include "http/stored.h"

enum {
    CACHE_SLOTS = 1024,
    CACHE_VARIANTS_MAX = 64, /* of one key; beyond it the oldest goes */
    CACHE_SHARE = 8,         /* one answer may have this part of the memory */
};

struct cache {
    struct siphash_key secret;
    struct keymap map;  /* struct stored.node */
    struct list queue;  /* struct stored.queue: the newest first */
    struct list *hand;  /* in it; NULL or the queue itself = at the oldest */
    size_t bytes;       /* of the answers */
    size_t limit_bytes; /* for them and the map */
    uint32_t writes[CACHE_SLOTS];
};

/* limit_bytes 0: nothing is kept. */
void cache_init(struct cache *, size_t limit_bytes);
void cache_deinit(struct cache *);

/* Another bound from now on. */
void cache_set_limit(struct cache *, size_t limit_bytes);

/* All memory that it has. */
size_t cache_bytes(const struct cache *);

uint64_t cache_hash(const struct cache *, struct slice key);

/* Somebody asks. */
struct cache_question {
    struct slice key;
    uint64_t hash; /* of the key */
    const struct http_request *request;
    const struct cache_wish *wish;
    uint64_t now_ms;
};

/*
 * What is kept and may answer: of this key and the request's variant, fresh, as new as
 * wished, and open to a request with Authorization if it has one.  Else the key's mark
 * (status 0), else NULL.  Valid until the cache changes, unless held.  `scratch` is
 * written over.
 */
struct stored *cache_find(struct cache *, const struct cache_question *, struct buf *scratch);

/* The names of fields by which answers of this key were found to vary; empty = none. */
struct slice cache_vary(const struct cache *, struct slice key, uint64_t hash);

/* Now is when it is asked for; whether it has been written to since. */
struct cache_ticket cache_ticket(const struct cache *, struct slice resource);
bool cache_ticket_valid(const struct cache *, struct cache_ticket);

/*
 * Keeps it (with a hold of its own) in the place of what it replaces.  False: it is too
 * large, or was asked for before a write.
 */
bool cache_put(struct cache *, struct stored *, uint64_t hash, struct cache_ticket);

/* The resource was written to: what is kept of it is stale, whatever its key. */
void cache_write(struct cache *, struct slice resource);

/* Forgets all answers of this owner. */
void cache_forget(struct cache *, const void *owner);
