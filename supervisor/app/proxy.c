#include "app/proxy.h"

#include <stdio.h>

#include "app/compress.h"
#include "app/identity.h"
#include "app/proxy_head.h"
#include "app/proxy_lost.h"
#include "pool/blame.h"

enum {
    LOOK_MS = 50,          /* those who wait look again so often */
    TIMEOUT_MS = 60000,    /* of addresses, unless the route says another */
    FRESH_MS = 1000,       /* a request that must not be sent twice takes no older link */
    CANDIDATES_MAX = 4096, /* of one request */
};

/* Where a request may go. */
struct candidate {
    struct proxy_target *target;
    struct worker *worker; /* of a service; NULL: it is an address */
};

const struct route_config proxy_plain_route = {
    .path = "/*",
    .retries = 1,
    .try_duration = 5000,
    .connect_timeout = 3000,
    .idle_timeout = 60000,
    .max_fails = 1,
    .fail_duration = 10000,
};

static uint64_t now_of(const struct proxy *x)
{
    return loop_now(x->gateway->loop);
}

static struct pool *pool_of(const struct proxied *p)
{
    return p->service ? pools_find(p->proxy->gateway->routes->pools, slice_of(p->service))
                      : NULL;
}

const char *proxied_log_name(const struct proxied *p)
{
    return p->service ? p->service : "nodey";
}

const char *proxied_name(const struct proxied *p)
{
    if (p->service)
        return p->service;
    return p->route->urls.count == 1 ? "the server behind this route"
                                     : "the servers behind this route";
}

/* ---------------------------------------------------------------------- ends */

/* The link goes back or is closed, and so does all that comes with it. */
void proxied_leave(struct proxied *p, bool give)
{
    if (p->link && give)
        upstream_give(p->link);
    else if (p->link)
        upstream_drop(p->link);
    use_end(&p->use);
    if (p->target)
        target_release(p->target);
    p->link = NULL;
    p->target = NULL;
    p->begun = p->sending = false;
}

void proxied_end(struct proxied *p, bool give)
{
    if (p->use.worker && give)
        p->use.worker->served++;
    proxied_leave(p, give);
    coder_free(p->coder);
    p->coder = NULL;
    list_del(&p->node);
    list_del(&p->wait);
    exchange_set_data(p->exchange, NULL);
    config_release(p->config);
}

void proxied_refuse(struct proxied *p, unsigned status, const char *why, const char *incident)
{
    struct exchange *x = p->exchange;
    struct gateway *g = p->proxy->gateway;
    struct failure failure = {.status = status,
                              .detail = arena_copy(exchange_arena(x), slice_of(why)),
                              .incident = arena_copy(exchange_arena(x), slice_of(incident)),
                              .retry_after_s = status == 503,
                              .pool = pool_of(p)};
    proxied_end(p, false);
    errorpage_send(g->errors, x, &failure);
}

void proxied_fail(struct proxied *p, unsigned status, const char *why)
{
    proxied_refuse(p, status, why, "");
}

/* In development it may be said what is told to the log alone otherwise. */
static void fail_unreached(struct proxied *p)
{
    char text[512];
    const struct errorpage *errors = p->proxy->gateway->errors;
    bool dev = errors && errors->dev;
    snprintf(text, sizeof(text), "%s cannot be reached%s%s", proxied_name(p),
             dev && p->trouble[0] ? ": " : "", dev ? p->trouble : "");
    proxied_fail(p, 503, text);
}

/* ------------------------------------------------------------------- waiting */

static void on_look(struct timer *timer);

static void watch(struct proxy *x)
{
    if (!timer_runs(&x->look) && !list_empty(&x->waiting))
        timer_start(x->gateway->loop, &x->look, LOOK_MS, on_look);
}

static void join(struct proxied *p)
{
    list_add(&p->proxy->waiting, &p->wait);
    watch(p->proxy);
}

void proxied_wait(struct proxied *p, uint64_t pause_ms)
{
    uint64_t now = now_of(p->proxy);
    if (now >= p->deadline_ms) {
        fail_unreached(p);
        return;
    }
    p->again_ms = MIN(now + pause_ms, p->deadline_ms);
    p->tried_count = p->attempts = 0;
    join(p);
}

void proxied_wait_until(struct proxied *p, uint64_t ms)
{
    p->again_ms = ms;
    join(p);
}

static bool is_due(const struct proxied *p, bool at_once, uint64_t now)
{
    if (p->broken)
        return p->again_ms <= now || use_is_over(&p->use);
    return p->calm_ms <= now && (at_once || p->again_ms <= now);
}

/* Each that waits now gets one turn; who waits again does so for the next. */
static void look(struct proxy *x, bool at_once)
{
    struct list round;
    uint64_t now = now_of(x);
    list_init(&round);
    list_splice(&round, &x->waiting);
    while (!list_empty(&round)) {
        struct proxied *p = list_first(&round, struct proxied, wait);
        list_del(&p->wait);
        if (!is_due(p, at_once, now))
            list_add(&x->waiting, &p->wait);
        else if (p->broken)
            proxied_judge(p);
        else
            proxied_choose(p);
    }
    watch(x);
}

static void on_look(struct timer *timer)
{
    look(container_of(timer, struct proxy, look), false);
}

static void leave_what_ends(struct proxy *x)
{
    list_each (at, &x->gateway->routes->pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (!pool->config->is_service)
            continue;
        list_each (place, &pool->states[WORKER_DRAINING])
            targets_leave(&x->targets, container_of(place, struct worker, node));
    }
}

static void on_news(struct task *task)
{
    struct proxy *x = container_of(task, struct proxy, news);
    leave_what_ends(x);
    targets_sweep(&x->targets);
    look(x, true);
}

void proxy_wake(struct proxy *x)
{
    if (x->gateway)
        loop_defer(x->gateway->loop, &x->news);
}

/* ------------------------------------------------------------------ choosing */

static void make_room(struct proxy *x, size_t count)
{
    if (count <= x->room)
        return;
    x->room = MAX(count, 2 * x->room);
    x->shares = xrealloc(x->shares, x->room * sizeof(*x->shares));
    x->candidates = xrealloc(x->candidates, x->room * sizeof(*x->candidates));
}

static bool was_tried(const struct proxied *p, uint64_t id)
{
    for (unsigned i = 0; i < p->tried_count; i++)
        if (p->tried[i] == id)
            return true;
    return false;
}

static void offer(struct proxied *p, size_t *count, struct proxy_target *target,
                  struct worker *w)
{
    struct proxy *x = p->proxy;
    if (!target || *count == CANDIDATES_MAX)
        return;
    make_room(x, *count + 1);
    x->candidates[*count] = (struct candidate){target, w};
    x->shares[*count] = target_share(target, now_of(x));
    x->shares[*count].out |= was_tried(p, target->id);
    if (!upstream_known(&target->upstream) && target->upstream.trouble[0])
        snprintf(p->trouble, sizeof(p->trouble), "%s", target->upstream.trouble);
    (*count)++;
}

static size_t gather(struct proxied *p, struct pool *pool)
{
    size_t count = 0;
    if (pool)
        list_each (at, &pool->states[WORKER_READY]) {
            struct worker *w = container_of(at, struct worker, node);
            if (w->port)
                offer(p, &count, targets_worker(&p->proxy->targets, w), w);
        }
    for (size_t i = 0; i < p->route->urls.count; i++)
        offer(p, &count, targets_address(&p->proxy->targets, p->route->urls.items[i]), NULL);
    return count;
}

/* Why it is no use to wait for this service; NULL: it may come. */
static const char *hopeless(const struct proxied *p, const struct pool *pool)
{
    if (!p->service)
        return NULL;
    if (!pool || pool->leaving)
        return "it is gone since the request began";
    if (pool->pools->stopping)
        return "nodey is shutting down";
    if (pool->rest == POOL_HELD)
        return "it was stopped";
    if (pool->rest == POOL_ENDED)
        return "it has ended, and its restart policy lets it";
    if (pool->rest == POOL_DORMANT)
        return "it belongs to a profile that was not asked for";
    if (pool_is_down(pool))
        return pool->trouble[0] ? pool->trouble : "it does not start";
    return NULL;
}

static void fail_hopeless(struct proxied *p, const char *why)
{
    char text[512];
    snprintf(text, sizeof(text), "service %s is not there: %.400s", p->service, why);
    proxied_fail(p, 503, text);
}

static void connect_to(struct proxied *p, const struct candidate *to)
{
    struct proxy *x = p->proxy;
    p->target = to->target;
    target_take(&x->targets, p->target);
    if (to->worker)
        use_begin(&p->use, to->worker);
    if (p->tried_count < TRIED_MAX)
        p->tried[p->tried_count++] = p->target->id;
    p->link = upstream_take(&p->target->upstream, p->idempotent ? UINT64_MAX : FRESH_MS,
                            &proxied_ops, p);
    if (p->link)
        proxied_send(p);
    else
        p->link =
            upstream_open(&p->target->upstream, p->route->connect_timeout, &proxied_ops, p);
}

void proxied_choose(struct proxied *p)
{
    struct proxy *x = p->proxy;
    struct pool *pool = pool_of(p);
    const char *why = hopeless(p, pool);
    const struct call_failure *refused = pool ? blame_refuses_use(pool, &p->use) : NULL;
    if (why) {
        fail_hopeless(p, why);
        return;
    }
    if (refused) {
        proxied_refuse(p, refused->status, refused->text, refused->incident);
        return;
    }
    size_t count = gather(p, pool);
    x->chance = x->chance * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX */
    p->wish.chance = x->chance ^ x->chance >> 29;
    int at = share_choose(x->shares, count, &p->wish);
    if (at != SHARE_NONE)
        connect_to(p, &x->candidates[at]);
    else if (pool && pool->trouble[0]) {
        snprintf(p->trouble, sizeof(p->trouble), "%.200s", pool->trouble);
        proxied_wait(p, 0);
    } else {
        proxied_wait(p, p->attempts ? PROXIED_PAUSE_MS : 0);
    }
}

/* ----------------------------------------------------------------- beginning */

static struct proxied *proxied_of(struct pending *pending)
{
    return container_of(pending, struct proxied, pending);
}

static void on_gone(struct pending *pending)
{
    proxied_end(proxied_of(pending), false);
}

static void on_body(struct pending *pending)
{
    proxied_pump(proxied_of(pending));
}

static void on_drained(struct pending *pending)
{
    proxied_drained(proxied_of(pending));
}

static void read_wish(struct proxied *p)
{
    const struct http_request *req = exchange_request(p->exchange);
    struct slice key = {0};
    p->wish = (struct share_wish){.policy = p->route->balance};
    if (p->wish.policy == POLICY_COOKIE)
        p->wish.cookie = share_read_cookie(proxy_cookie(req, slice_of(p->route->policy_key)));
    else if (p->wish.policy == POLICY_HEADER)
        key = proxy_field(req, slice_of(p->route->policy_key));
    else if (p->wish.policy == POLICY_IP_HASH)
        key = req->ip;
    p->wish.keyed = key.len != 0;
    p->wish.key = key.len ? share_key(key) : 0;
}

static void read_times(struct proxied *p, const struct route *route)
{
    uint64_t patience = p->route->try_duration;
    p->timeout_ms = route->timeout_ms ? route->timeout_ms : TIMEOUT_MS;
    if (route->pool) {
        p->timeout_ms = route->timeout_ms ? route->timeout_ms : route->pool->config->timeout;
        patience = MIN(patience, route->pool->config->queue_timeout);
    }
    p->deadline_ms = now_of(p->proxy) + patience;
}

static void on_describe(const struct use *use, struct call_about *about)
{
    const struct proxied *p = container_of(use, struct proxied, use);
    identity_describe(exchange_request(p->exchange), about);
}

static void on_identify(const struct use *use, struct call_identity *id)
{
    const struct proxied *p = container_of(use, struct proxied, use);
    identity_read(p->proxy->gateway, exchange_request(p->exchange), exchange_arena(p->exchange),
                  id);
}

static const struct use_ops use_ops = {.describe = on_describe, .identify = on_identify};

void proxy_begin(struct proxy *x, struct exchange *exchange, const struct router_match *match)
{
    const struct route *route = match->target;
    struct arena *arena = exchange_arena(exchange);
    struct proxied *p = arena_alloc(arena, sizeof(*p));
    *p = (struct proxied){
        .pending = {.gone = on_gone, .body = on_body, .drained = on_drained},
        .proxy = x,
        .exchange = exchange,
        .use = {.ops = &use_ops},
        .config = config_hold(x->gateway->routes->config),
        .route = route->proxy,
        .idempotent = proxy_is_idempotent(exchange_request(exchange)->method),
    };
    if (route->pool)
        p->service = arena_strdup(arena, slice_of(route->pool->config->name));
    list_init(&p->wait);
    list_init(&p->node);
    list_init(&p->use.node);
    list_add(&x->active, &p->node);
    exchange_set_data(exchange, &p->pending);
    read_wish(p);
    read_times(p, route);
    loop_spin(x->gateway->loop);
    proxied_choose(p);
}

/* ------------------------------------------------------------------- all of it */

void proxy_init(struct proxy *x, struct gateway *g)
{
    *x = (struct proxy){.gateway = g, .chance = loop_clock_ns()};
    list_init(&x->active);
    list_init(&x->waiting);
    task_init(&x->news, on_news);
    targets_init(&x->targets, g->loop);
    proxy_configure(x);
}

void proxy_configure(struct proxy *x)
{
    targets_configure(&x->targets, x->gateway->routes->config);
}

void proxy_let_go(struct proxy *x)
{
    list_each (at, &x->active) {
        struct proxied *p = container_of(at, struct proxied, node);
        if (p->endless && !p->broken)
            use_end(&p->use);
    }
}

void proxy_close(struct proxy *x)
{
    timer_stop(x->gateway->loop, &x->look);
    task_cancel(&x->news);
    targets_close(&x->targets);
}

void proxy_deinit(struct proxy *x)
{
    targets_deinit(&x->targets);
    xfree(x->shares);
    xfree(x->candidates);
}
