#include "app/routes.h"

void routes_init(struct routes *r, struct config *config, struct pools *pools)
{
    *r = (struct routes){.config = config, .pools = pools};
    routes_rebuild(r);
}

void routes_deinit(struct routes *r)
{
    router_free(r->router);
    arena_deinit(&r->arena);
}

/*
 * All that an answer depends on beside the request.  No stranger chooses it, so that the
 * key of the hash may be known.
 */
static uint64_t rule_id(const struct route *route, struct slice path)
{
    struct buf text = {0};
    if (!route->pool)
        return 0;
    buf_addf(&text, "%s:" SLICE_FMT "\n" SLICE_FMT "\n%llu\n" SLICE_FMT,
             route->pool->config->name, SLICE_ARG(route->token), SLICE_ARG(path),
             (unsigned long long)route->cache.ttl_ms, SLICE_ARG(route->cache.headers));
    uint64_t id = siphash(&(struct siphash_key){{0}}, buf_slice(&text));
    buf_deinit(&text);
    return id;
}

static struct cache_rule read_rule(struct routes *r, const struct route_config *config)
{
    struct buf names = {0};
    for (size_t i = 0; config->cache && i < config->cache_headers.count; i++)
        buf_addf(&names, "%s\n", config->cache_headers.items[i]);
    struct cache_rule rule = {.ttl_ms = config->cache,
                              .headers = arena_copy(&r->arena, buf_slice(&names))};
    buf_deinit(&names);
    return rule;
}

const char *route_server(const struct route *route)
{
    if (route->pool)
        return route->pool->config->name;
    return route->proxy ? route->proxy->urls.items[0] : route->bus ? "events" : "files";
}

static bool is_configured(const struct routes *r, const struct pool *pool)
{
    for (size_t i = 0; i < r->config->route_count; i++)
        if (slice_is(route_config_worker(&r->config->routes[i]), pool->config->name))
            return true;
    return false;
}

/*
 * It comes too late.  Nothing would reach an app that takes every path; unless it has routes of
 * its own, and then it is well.
 */
static void tell_taken(const struct routes *r, struct slice method, struct slice path,
                       const struct route *route, const struct route *owner)
{
    const char *name = route->pool->config->name;
    if (method.len || !slice_is(path, "/*"))
        pool_tell_once(route->pool, "route " SLICE_FMT " " SLICE_FMT " is served by %s already",
                       SLICE_ARG(method.len ? method : SLICE("*")), SLICE_ARG(path),
                       route_server(owner));
    else if (!is_configured(r, route->pool))
        pool_tell_once(route->pool,
                       "every path is served by %s already: give this app its own, "
                       "[[routes]] path = \"/%s/*\" to = \"%s\"",
                       route_server(owner), name, name);
}

/* Says so when the route is malformed or somebody else's. */
static void add(struct routes *r, struct slice method, struct slice path, struct route route)
{
    if (method.len && !slice_is(method, "GET")) /* only answers to GET are kept */
        route.cache = (struct cache_rule){0};
    route.cache.id = rule_id(&route, path);
    void *taken = NULL;
    struct err err;
    struct route *kept = arena_alloc(&r->arena, sizeof(*kept));
    *kept = route;
    if (router_add(r->router, method, path, kept, &taken, &err)) {
        if (route.pool)
            pool_tell_once(route.pool, "%s", err.text);
        else
            log_line(LOG_WARN, "nodey", "%s", err.text);
        return;
    }
    const struct route *owner = taken;
    if (owner && route.pool && owner->pool != route.pool)
        tell_taken(r, method, path, &route, owner);
}

static void add_configured(struct routes *r, const struct route_config *config)
{
    struct slice to = route_config_worker(config);
    struct route route = {.timeout_ms = config->timeout, .cache = read_rule(r, config)};
    if (to.len && to.ptr[to.len])
        route.token = slice_of(to.ptr + to.len + 1);
    if (to.len)
        route.pool = pools_find(r->pools, to);
    if (config->root)
        route.files = config;
    else if (config->publish.count || config->events.count)
        route.bus = config;
    else if (config->urls.count || (route.pool && route.pool->config->is_service))
        route.proxy = config;
    if (config->methods.count == 0)
        add(r, (struct slice){0}, slice_of(config->path), route);
    for (size_t i = 0; i < config->methods.count; i++)
        add(r, slice_of(config->methods.items[i]), slice_of(config->path), route);
}

/*
 * An app of a framework says that it takes every path, for it cannot tell which it serves.
 * Where routes.json says that, clients see no other, as with the balancer that it was for.
 */
static bool is_listed(const struct routes *r, const struct pool *pool)
{
    for (size_t i = 0; i < r->config->route_count; i++) {
        const struct route_config *route = &r->config->routes[i];
        if (route->listed && slice_is(route_config_worker(route), pool->config->name))
            return true;
    }
    return false;
}

static bool takes_all(const struct ready_route *declared)
{
    return declared->method.len == 0 && slice_is(declared->path, "/*");
}

static void add_by_name(struct routes *r, struct pool *pool)
{
    char path[96];
    snprintf(path, sizeof(path), "/%s/*", pool->config->name);
    add(r, (struct slice){0}, arena_copy(&r->arena, slice_of(path)),
        (struct route){.pool = pool});
}

/*
 * A declared route may stand in front of a configured one ("GET /fib" of "/fib",
 * "/api/x" of "/api/:any").  When that one is of the same worker, its cache was meant for
 * this too.  Only configured routes are in the router yet.
 */
static struct cache_rule inherited_rule(const struct routes *r, const struct pool *pool,
                                        const struct ready_route *declared)
{
    struct arena arena = {0};
    struct router_match match;
    struct slice path = declared->path;
    const char *star = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
    if (star && star[1] == '*') { /* it serves what is deeper too, and so must the other */
        struct buf deeper = {0};
        buf_add(&deeper, path);
        buf_adds(&deeper, "/-");
        path = arena_copy(&arena, buf_slice(&deeper));
        buf_deinit(&deeper);
    }
    struct slice method = declared->method.len ? declared->method : SLICE("GET");
    bool found = router_find(r->router, method, path, &arena, &match) == ROUTER_FOUND;
    const struct route *route = match.target;
    arena_deinit(&arena);
    return found && route->pool == pool ? route->cache : (struct cache_rule){0};
}

/* One for each declared route; NULL when there is none. */
static struct cache_rule *inherit_rules(struct routes *r, const struct pool *pool)
{
    const struct ready *ready = pool_declaration(pool);
    if (!ready)
        return NULL;
    struct cache_rule *rules = arena_alloc(&r->arena, ready->route_count * sizeof(*rules));
    for (size_t i = 0; i < ready->route_count; i++)
        rules[i] = inherited_rule(r, pool, &ready->routes[i]);
    return rules;
}

static void add_declared(struct routes *r, struct pool *pool, const struct cache_rule *rules)
{
    const struct ready *ready = pool_declaration(pool);
    bool listed = is_listed(r, pool);
    for (size_t i = 0; ready && i < ready->route_count; i++) {
        const struct ready_route *declared = &ready->routes[i];
        if (listed && takes_all(declared))
            continue;
        add(r, declared->method, declared->path,
            (struct route){
                .pool = pool, .timeout_ms = declared->timeout_ms, .cache = rules[i]});
    }
    if (routes_by_name(pool) && !is_configured(r, pool))
        add_by_name(r, pool);
}

bool routes_by_name(const struct pool *pool)
{
    const struct ready *ready = pool_declaration(pool);
    if (pool->config->is_service || (ready && ready->route_count))
        return false;
    return !ready || !ready->says_routes || !ready->subscription_count;
}

void routes_configure(struct routes *r, struct config *config)
{
    r->config = config;
    routes_rebuild(r);
}

void routes_rebuild(struct routes *r)
{
    router_free(r->router);
    arena_reset(&r->arena);
    r->router = router_new();
    for (size_t i = 0; i < r->config->route_count; i++)
        add_configured(r, &r->config->routes[i]);
    struct cache_rule **rules =
        arena_alloc(&r->arena, list_count(&r->pools->list) * sizeof(*rules));
    size_t n = 0;
    list_each (at, &r->pools->list)
        rules[n++] = inherit_rules(r, container_of(at, struct pool, node));
    n = 0;
    list_each (at, &r->pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (!pool->leaving)
            add_declared(r, pool, rules[n]);
        n++;
    }
}
