#include "app/listing.h"

#include <stdlib.h>

#include "app/routes.h"
#include "config/value.h"

struct taker {
    struct listed *out;
    size_t count;
    size_t max;
    const char *only;
};

/* The configured ones come first, and what is declared as well is no other route. */
static void take(struct taker *t, struct slice method, struct slice path, const char *worker)
{
    for (size_t i = 0; i < t->count; i++)
        if (slice_eq(t->out[i].method, method) && slice_eq(t->out[i].path, path))
            return;
    if (t->count < t->max && (!t->only || strcmp(t->only, worker) == 0))
        t->out[t->count++] = (struct listed){.method = method, .path = path, .worker = worker};
}

static void take_configured(struct taker *t, const struct config *config, struct arena *arena)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct route_config *route = &config->routes[i];
        if (!route->to && t->only) /* of a worker, whatever its name is */
            continue;
        const char *worker = route->root ? "files"
                             : route->urls.count
                                 ? route->urls.items[0]
                                 : arena_strdup(arena, route_config_worker(route));
        for (size_t m = 0; m < route->methods.count; m++)
            take(t, slice_of(route->methods.items[m]), slice_of(route->path), worker);
        if (route->methods.count == 0)
            take(t, (struct slice){0}, slice_of(route->path), worker);
    }
}

static bool is_configured(const struct config *config, const char *worker)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (slice_is(route_config_worker(&config->routes[i]), worker))
            return true;
    return false;
}

bool listing_is_down(const struct pool *pool)
{
    return !pool->config->is_service && !pool->leaving && !pool_declaration(pool) &&
           pool->trouble[0];
}

bool listing_is_incomplete(const struct config *config, const struct pools *pools)
{
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        bool unwanted = pool->leaving || pool->rest == POOL_HELD ||
                        pool->rest == POOL_DORMANT ||
                        (pool->rest == POOL_ENDED && pool->ended_well);
        if (!pool->config->is_service && !unwanted && !pool_declaration(pool) &&
            !is_configured(config, pool->config->name))
            return true;
    }
    return false;
}

static void take_declared(struct taker *t, const struct config *config, const struct pool *pool,
                          struct arena *arena)
{
    const char *name = pool->config->name;
    const struct ready *ready = pool_declaration(pool);
    for (size_t i = 0; ready && i < ready->route_count; i++)
        take(t, ready->routes[i].method, ready->routes[i].path, name);
    if (!routes_by_name(pool) || is_configured(config, name) || listing_is_down(pool))
        return;
    char *path = xasprintf("/%s/*", name);
    take(t, (struct slice){0}, arena_copy(arena, slice_of(path)), name);
    xfree(path);
}

size_t listing_routes(const struct config *config, const struct pools *pools, const char *only,
                      struct arena *arena, struct listed *out, size_t max)
{
    struct taker t = {.out = out, .max = max, .only = only};
    take_configured(&t, config, arena);
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (!pool->leaving)
            take_declared(&t, config, pool, arena);
    }
    return t.count;
}

static int by_rank(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* The order in which they were given decides between equals. */
void listing_sort(struct listed *all, size_t count, struct slice path)
{
    for (size_t i = 0; i < count; i++)
        all[i].rank = (size_t)nearest_distance(path, all[i].path) * (count + 1) + i;
    qsort(all, count, sizeof(*all), by_rank);
}
