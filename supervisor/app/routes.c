#include "app/routes.h"

void routes_init(struct routes *r, const struct config *config, struct pools *pools)
{
    *r = (struct routes){.config = config, .pools = pools};
    routes_rebuild(r);
}

void routes_deinit(struct routes *r)
{
    router_free(r->router);
    arena_deinit(&r->arena);
}

/* Says so when the route is malformed or somebody else's. */
static void add(struct routes *r, struct slice method, struct slice path, struct route route)
{
    void *taken = NULL;
    struct err err;
    enum log_level level = route.pool->announced ? LOG_DEBUG : LOG_WARN;
    struct route *kept = arena_alloc(&r->arena, sizeof(*kept));
    *kept = route;
    if (router_add(r->router, method, path, kept, &taken, &err)) {
        pool_tell(route.pool, NULL, level, "%s", err.text);
        return;
    }
    const struct pool *owner = taken ? ((struct route *)taken)->pool : NULL;
    if (owner && owner != route.pool)
        pool_tell(route.pool, NULL, level,
                  "route " SLICE_FMT " " SLICE_FMT " is served by %s already",
                  SLICE_ARG(method.len ? method : SLICE("*")), SLICE_ARG(path),
                  owner->config->name);
}

static void add_configured(struct routes *r, const struct route_config *config)
{
    struct slice to = slice_of(config->to);
    const char *colon = strchr(config->to, ':');
    struct route route = {.timeout_ms = config->timeout};
    if (colon) {
        to.len = (size_t)(colon - config->to);
        route.token = slice_of(colon + 1);
    }
    route.pool = pools_find(r->pools, to);
    if (config->methods.count == 0)
        add(r, (struct slice){0}, slice_of(config->path), route);
    for (size_t i = 0; i < config->methods.count; i++)
        add(r, slice_of(config->methods.items[i]), slice_of(config->path), route);
}

static bool is_configured(const struct routes *r, const struct pool *pool)
{
    for (size_t i = 0; i < r->config->route_count; i++) {
        const char *to = r->config->routes[i].to;
        struct slice name = {to, strcspn(to, ":")};
        if (slice_is(name, pool->config->name))
            return true;
    }
    return false;
}

static void add_by_name(struct routes *r, struct pool *pool)
{
    char path[96];
    snprintf(path, sizeof(path), "/%s/*", pool->config->name);
    add(r, (struct slice){0}, arena_copy(&r->arena, slice_of(path)),
        (struct route){.pool = pool});
}

static void add_declared(struct routes *r, struct pool *pool)
{
    const struct ready *ready = pool_declaration(pool);
    for (size_t i = 0; ready && i < ready->route_count; i++)
        add(r, ready->routes[i].method, ready->routes[i].path,
            (struct route){.pool = pool, .timeout_ms = ready->routes[i].timeout_ms});
    if (!is_configured(r, pool) && (!ready || ready->route_count == 0))
        add_by_name(r, pool);
}

void routes_rebuild(struct routes *r)
{
    router_free(r->router);
    arena_reset(&r->arena);
    r->router = router_new();
    for (size_t i = 0; i < r->config->route_count; i++)
        add_configured(r, &r->config->routes[i]);
    list_each (at, &r->pools->list)
        add_declared(r, container_of(at, struct pool, node));
}
