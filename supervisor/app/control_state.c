#include "app/control_state.h"

#include <stdio.h>
#include <unistd.h>

#include "pool/ask.h"

static const struct config *config_of(const struct control_host *host)
{
    return host->gateway->routes->config;
}

static void write_urls(const struct control_host *host, struct buf *out)
{
    const char *url;
    buf_addc(out, '[');
    for (size_t i = 0; host->url && (url = host->url(host->arg, i)); i++) {
        buf_adds(out, i ? "," : "");
        json_write(out, slice_of(url));
    }
    buf_addc(out, ']');
}

void control_write_self(const struct control_host *host, struct buf *out)
{
    const struct config *config = config_of(host);
    buf_addf(out, "{\"version\":\"%s\",\"pid\":%ld,\"private\":%s", NODEY_VERSION,
             (long)getpid(), host->is_private ? "true" : "false");
    buf_addf(out, ",\"settled\":%s,\"stopping\":%s,\"urls\":",
             pools_settled(host->pools) ? "true" : "false",
             host->pools->stopping ? "true" : "false");
    write_urls(host, out);
    buf_adds(out, ",\"config\":");
    if (config->file)
        json_write(out, slice_of(config->file));
    else
        buf_adds(out, "null");
    buf_adds(out, ",\"dir\":");
    json_write(out, slice_of(config->dir));
    buf_adds(out, "}\n");
}

/* ----------------------------------------------------------------------- workers */

static const char *const state_names[WORKER_STATES] = {
    [WORKER_BACKOFF] = "backoff",   [WORKER_FAILED] = "failed",
    [WORKER_STARTING] = "starting", [WORKER_READY] = "ready",
    [WORKER_BUSY] = "busy",         [WORKER_UNHEALTHY] = "unhealthy",
    [WORKER_DRAINING] = "draining", [WORKER_STOPPED] = "stopped",
};

static const char *pool_state(const struct pool *pool)
{
    if (pool->pools->stopping)
        return "stopping";
    if (pool_declaration(pool))
        return "ready";
    return pool->settled && pool_is_down(pool) ? "failed" : "starting";
}

static void write_instance(const struct worker *w, const char *before, struct buf *out)
{
    buf_addf(out, "%s{\"instance\":%u,\"state\":\"%s\"", before, w->instance,
             state_names[w->state]);
    if (worker_alive(w))
        buf_addf(out, ",\"pid\":%ld", (long)w->proc.pid);
    buf_addf(out, ",\"served\":%llu,\"inflight\":%u}", (unsigned long long)w->served,
             w->slot_count);
}

static void write_instances(const struct pool *pool, struct buf *out)
{
    const char *before = "";
    buf_adds(out, ",\"instances\":[");
    for (int state = 0; state < WORKER_STOPPED; state++)
        list_each (at, &pool->states[state]) {
            write_instance(container_of(at, struct worker, node), before, out);
            before = ",";
        }
    buf_addc(out, ']');
}

/* A list of {"method","path"}; method "*" is any. */
struct route_list {
    struct buf *out;
    size_t count;
};

static void write_route(struct route_list *list, struct slice method, struct slice path)
{
    buf_adds(list->out, list->count++ ? ",{\"method\":" : "{\"method\":");
    json_write(list->out, method.len ? method : SLICE("*"));
    buf_adds(list->out, ",\"path\":");
    json_write(list->out, path);
    buf_addc(list->out, '}');
}

static void write_configured(struct route_list *list, const struct route_config *route)
{
    if (route->methods.count == 0)
        write_route(list, (struct slice){0}, slice_of(route->path));
    for (size_t i = 0; i < route->methods.count; i++)
        write_route(list, slice_of(route->methods.items[i]), slice_of(route->path));
}

/* As app/routes.c gives them out. */
static void write_routes(const struct config *config, const struct pool *pool, struct buf *out)
{
    const struct ready *ready = pool_declaration(pool);
    struct route_list list = {.out = out};
    buf_adds(out, ",\"routes\":[");
    for (size_t i = 0; i < config->route_count; i++)
        if (slice_is(route_config_worker(&config->routes[i]), pool->config->name))
            write_configured(&list, &config->routes[i]);
    for (size_t i = 0; ready && i < ready->route_count; i++)
        write_route(&list, ready->routes[i].method, ready->routes[i].path);
    if (list.count == 0) {
        char path[96];
        snprintf(path, sizeof(path), "/%s/*", pool->config->name);
        write_route(&list, (struct slice){0}, slice_of(path));
    }
    buf_addc(out, ']');
}

static void write_tokens(const struct pool *pool, struct buf *out)
{
    const struct pool *by;
    const char *token, *before = "";
    buf_adds(out, ",\"tokens\":[");
    for (size_t i = 0; (token = ask_token(pool->pools, i, &by)); i++) {
        if (by != pool)
            continue;
        buf_adds(out, before);
        json_write(out, slice_of(token));
        before = ",";
    }
    buf_addc(out, ']');
}

static void write_pool(const struct control_host *host, const struct pool *pool,
                       struct buf *out)
{
    buf_adds(out, "{\"name\":");
    json_write(out, slice_of(pool->config->name));
    buf_addf(out, ",\"state\":\"%s\",\"settled\":%s,\"trouble\":", pool_state(pool),
             pool->settled ? "true" : "false");
    if (pool->trouble[0])
        json_write(out, slice_of(pool->trouble));
    else
        buf_adds(out, "null");
    buf_addf(out, ",\"waiting\":%zu", pool->waiting);
    write_instances(pool, out);
    write_routes(config_of(host), pool, out);
    write_tokens(pool, out);
    buf_addc(out, '}');
}

void control_write_workers(const struct control_host *host, struct buf *out)
{
    const char *before = "[";
    list_each (at, &host->pools->list) {
        buf_adds(out, before);
        write_pool(host, container_of(at, struct pool, node), out);
        before = ",\n";
    }
    buf_adds(out, *before == '[' ? "[]\n" : "]\n");
}
