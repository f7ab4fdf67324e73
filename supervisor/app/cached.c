#include "app/cached.h"

#include <assert.h>

#include "app/compress.h"
#include "app/flight.h"

enum { ROUNDS_MAX = 2 }; /* answers of others that one waits for in vain */

/* --------------------------------------------------------------------- keys */

/* What a write changes: scheme, host, path and query. */
static void add_resource(struct buf *key, const struct http_request *req)
{
    buf_addc(key, req->https ? 's' : 'p');
    buf_add(key, req->host);
    buf_addc(key, '\n'); /* none of the parts can hold one */
    buf_add(key, req->path);
    if (req->has_query) {
        buf_addc(key, '?');
        buf_add(key, req->query);
    }
    buf_addc(key, '\n');
}

static struct slice write_key(struct cached *c, const struct http_request *req,
                              const struct cache_rule *rule)
{
    buf_clear(&c->key);
    add_resource(&c->key, req);
    buf_append(&c->key, &rule->id, sizeof(rule->id));
    buf_addc(&c->key, (char)compress_coding(c->gateway, req));
    vary_values(rule->headers, req, &c->key);
    return buf_slice(&c->key);
}

/* The key and behind it the variant, as far as answers are known to vary. */
static struct slice write_id(struct cached *c, const struct cache_question *q)
{
    struct slice vary = cache_vary(&c->cache, q->key, q->hash);
    buf_add(&c->key, vary);
    vary_values(vary, q->request, &c->key);
    return buf_slice(&c->key);
}

/* ------------------------------------------------------------------- asking */

/* Of now: what was asked for before a write is old. */
static struct cache_ticket take_ticket(struct cached *c, const struct http_request *req)
{
    buf_clear(&c->values);
    add_resource(&c->values, req);
    return cache_ticket(&c->cache, buf_slice(&c->values));
}

/* It was here before, when it has waited in vain. */
static struct waiter *waiter_of(struct exchange *x, const struct route *route, uint64_t now_ms)
{
    struct waiter *w = exchange_data(x);
    uint64_t timeout = route->timeout_ms ? route->timeout_ms : route->pool->config->timeout;
    return w ? w : waiter_new(x, now_ms + timeout);
}

/* Nothing that is kept answers it. */
static void ask(struct cached *c, struct exchange *x, const struct cache_question *q,
                const struct router_match *match, bool is_marked)
{
    const struct cache_wish *wish = q->wish;
    struct waiter *w = waiter_of(x, match->target, q->now_ms);
    bool alone = is_marked || wish->no_store || wish->authorized || w->rounds >= ROUNDS_MAX;
    struct slice id = write_id(c, q);
    struct flight *f = alone ? NULL : flight_find(c, id);
    w->wish = *wish;
    if (f)
        flight_join(f, w);
    else
        flight_begin(c,
                     &(struct flight_form){.id = id,
                                           .key_bytes = q->key.len,
                                           .key_hash = q->hash,
                                           .ticket = take_ticket(c, q->request),
                                           .match = match,
                                           .alone = alone},
                     w);
}

/* ------------------------------------------------------------------- public */

/* A body could change the answer and is no part of the key. */
static bool is_ours(const struct cached *c, const struct http_request *req,
                    const struct cache_rule *rule)
{
    return rule->ttl_ms && c->cache.limit_bytes && !req->body.len && !req->more &&
           !req->upgrade.len && (slice_is(req->method, "GET") || slice_is(req->method, "HEAD"));
}

bool cached_take(struct cached *c, struct exchange *x, const struct router_match *match)
{
    static const struct call_failure nothing_kept = {
        .code = "unavailable", .status = 504, .text = "nothing is cached for this request"};
    const struct route *route = match->target;
    const struct http_request *req = exchange_request(x);
    if (!is_ours(c, req, &route->cache))
        return false;
    struct cache_wish wish;
    cache_wish_read(&wish, req);
    struct cache_question q = {.key = write_key(c, req, &route->cache),
                               .request = req,
                               .wish = &wish,
                               .now_ms = loop_now(c->gateway->loop)};
    q.hash = cache_hash(&c->cache, q.key);
    struct stored *found = wish.no_store ? NULL : cache_find(&c->cache, &q, &c->values);
    if (found && found->status)
        flight_send_stored(x, found, &wish, /* is_hit= */ true, q.now_ms);
    else if (wish.only_if_cached)
        gateway_fail(c->gateway, x, route->pool,
                     &(struct call_reply){.failure = &nothing_kept});
    else
        ask(c, x, &q, match, /* is_marked= */ found);
    return true;
}

void cached_wrote(struct cached *c, const struct http_request *req)
{
    if (!c->cache.map.count && list_empty(&c->flights))
        return;
    buf_clear(&c->key);
    add_resource(&c->key, req);
    cache_write(&c->cache, buf_slice(&c->key));
}

void cached_purge_pool(struct cached *c, const struct pool *pool)
{
    cache_forget(&c->cache, pool);
    flight_outdate(c, pool);
}

void cached_init(struct cached *c, struct gateway *gateway, size_t limit_bytes)
{
    *c = (struct cached){.gateway = gateway};
    list_init(&c->flights);
    cache_init(&c->cache, limit_bytes);
}

void cached_resize(struct cached *c, size_t limit_bytes)
{
    cache_set_limit(&c->cache, limit_bytes);
}

void cached_deinit(struct cached *c)
{
    assert(list_empty(&c->flights));
    cache_deinit(&c->cache);
    keymap_deinit(&c->open);
    buf_deinit(&c->key);
    buf_deinit(&c->values);
}
