#include "http/cache.h"

#include <assert.h>

enum { EXPIRED_LOOKS = 8 }; /* at the oldest, each time that something is added */

static struct stored *stored_of(struct keymap_node *node)
{
    return container_of(node, struct stored, node);
}

void cache_init(struct cache *cache, size_t limit_bytes)
{
    *cache = (struct cache){.secret = siphash_key_new(), .limit_bytes = limit_bytes};
    list_init(&cache->queue);
}

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes + keymap_bytes(&cache->map);
}

uint64_t cache_hash(const struct cache *cache, struct slice key)
{
    return siphash(&cache->secret, key);
}

/* ----------------------------------------------------------------- eviction */

static void forget(struct cache *cache, struct stored *s)
{
    if (cache->hand == &s->queue)
        cache->hand = s->queue.prev;
    list_del(&s->queue);
    keymap_remove(&cache->map, &s->node);
    cache->bytes -= s->size;
    stored_drop(s);
}

/* Ends at the second round at the latest: by then no bit is set. */
static void evict_one(struct cache *cache)
{
    assert(!list_empty(&cache->queue));
    for (;;) {
        if (!cache->hand || cache->hand == &cache->queue)
            cache->hand = cache->queue.prev;
        struct stored *s = container_of(cache->hand, struct stored, queue);
        if (!s->visited) {
            forget(cache, s);
            return;
        }
        s->visited = false;
        cache->hand = cache->hand->prev;
    }
}

static void make_room(struct cache *cache, size_t extra)
{
    while (!list_empty(&cache->queue) && cache_bytes(cache) + extra > cache->limit_bytes)
        evict_one(cache);
}

/* So that what nobody asks for again does not wait for the memory to be full. */
static void forget_expired(struct cache *cache, uint64_t now_ms)
{
    for (int i = 0; i < EXPIRED_LOOKS && !list_empty(&cache->queue); i++) {
        struct stored *oldest = list_last(&cache->queue, struct stored, queue);
        if (stored_fresh(oldest, now_ms))
            return;
        forget(cache, oldest);
    }
}

void cache_set_limit(struct cache *cache, size_t limit_bytes)
{
    cache->limit_bytes = limit_bytes;
    make_room(cache, 0);
}

void cache_forget(struct cache *cache, const void *owner)
{
    list_each_safe (at, &cache->queue) {
        struct stored *s = container_of(at, struct stored, queue);
        if (s->owner == owner)
            forget(cache, s);
    }
}

void cache_deinit(struct cache *cache)
{
    while (!list_empty(&cache->queue))
        forget(cache, list_first(&cache->queue, struct stored, queue));
    keymap_deinit(&cache->map);
}

/* --------------------------------------------------------------------- find */

/* The request's values for the names that the last look was for. */
struct variant {
    struct slice names;
    struct buf *values;
};

static bool fits_variant(const struct stored *s, const struct http_request *request,
                         struct variant *variant)
{
    if (!s->vary.len)
        return true;
    if (!slice_eq(s->vary, variant->names)) {
        variant->names = s->vary;
        buf_clear(variant->values);
        vary_values(s->vary, request, variant->values);
    }
    return slice_eq(s->values, buf_slice(variant->values));
}

static bool fits_wish(const struct stored *s, const struct cache_question *q)
{
    const struct cache_wish *wish = q->wish;
    return !wish->no_cache && (!wish->authorized || s->to_all) &&
           (wish->max_age_s == UINT64_MAX || stored_age_s(s, q->now_ms) <= wish->max_age_s);
}

bool cache_ticket_valid(const struct cache *cache, struct cache_ticket ticket)
{
    return cache->writes[ticket.slot] == ticket.writes;
}

struct stored *cache_find(struct cache *cache, const struct cache_question *q,
                          struct buf *scratch)
{
    struct stored *mark = NULL;
    struct variant variant = {.values = scratch};
    struct keymap_node *node = keymap_find(&cache->map, q->hash);
    while (node) {
        struct stored *s = stored_of(node);
        node = keymap_next(node); /* those behind stay behind when this one goes */
        if (!slice_eq(s->key, q->key))
            continue;
        if (!stored_fresh(s, q->now_ms) || !cache_ticket_valid(cache, s->ticket)) {
            variant.names = (struct slice){0};
            forget(cache, s);
        } else if (!s->status) {
            mark = s;
        } else if (fits_wish(s, q) && fits_variant(s, q->request, &variant)) {
            s->visited = true;
            return s;
        }
    }
    return mark;
}

struct slice cache_vary(const struct cache *cache, struct slice key, uint64_t hash)
{
    struct keymap_node *node = keymap_find(&cache->map, hash);
    for (; node; node = keymap_next(node))
        if (stored_of(node)->vary.len && slice_eq(stored_of(node)->key, key))
            return stored_of(node)->vary;
    return (struct slice){0};
}

/* ---------------------------------------------------------------------- put */

struct cache_ticket cache_ticket(const struct cache *cache, struct slice resource)
{
    unsigned slot = (unsigned)(siphash(&cache->secret, resource) % CACHE_SLOTS);
    return (struct cache_ticket){slot, cache->writes[slot]};
}

/* A mark stands for the whole key, until something can be kept. */
static bool replaces(const struct stored *s, const struct stored *other)
{
    if (!other->status)
        return true;
    return s->status && slice_eq(s->vary, other->vary) && slice_eq(s->values, other->values);
}

/* What the new one replaces goes, and the oldest when there are too many. */
static void replace(struct cache *cache, const struct stored *s, uint64_t hash)
{
    size_t count = 0;
    struct keymap_node *node = keymap_find(&cache->map, hash);
    while (node) {
        struct stored *other = stored_of(node);
        node = keymap_next(node);
        if (slice_eq(other->key, s->key) &&
            (replaces(s, other) || ++count >= CACHE_VARIANTS_MAX))
            forget(cache, other);
    }
}

bool cache_put(struct cache *cache, struct stored *s, uint64_t hash, struct cache_ticket ticket)
{
    if (s->size > cache->limit_bytes / CACHE_SHARE || !cache_ticket_valid(cache, ticket))
        return false;
    replace(cache, s, hash);
    forget_expired(cache, s->made_ms);
    make_room(cache, s->size);
    s->ticket = ticket;
    s->visited = false;
    keymap_add(&cache->map, &s->node, hash);
    list_push(&cache->queue, &s->queue);
    cache->bytes += s->size;
    stored_hold(s);
    make_room(cache, 0); /* the map may have grown */
    return true;
}

void cache_write(struct cache *cache, struct slice resource)
{
    cache->writes[cache_ticket(cache, resource).slot]++;
}
