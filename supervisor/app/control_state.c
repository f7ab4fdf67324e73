#include "app/control_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/control_about.h"
#include "app/routes.h"
#include "base/secret.h"
#include "os/usage.h"
#include "pool/ask.h"
#include "pool/limits.h"

static const struct config *config_of(const struct control_host *host)
{
    return host->gateway->routes->config;
}

static const char *truth(bool yes)
{
    return yes ? "true" : "false";
}

void control_write_text(const struct control_host *host, const char *text, struct buf *out)
{
    struct buf scratch = {0};
    struct slice shown = slice_of(text);
    if (host->secrets)
        shown = secrets_mask(host->secrets, shown, &scratch);
    if (shown.len)
        json_write(out, shown);
    else
        buf_adds(out, "null");
    buf_deinit(&scratch);
}

static void write_text(const struct control_host *host, const char *name, const char *text,
                       struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    control_write_text(host, text, out);
}

/* ------------------------------------------------------------------------ nodey */

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

static void write_machine(struct buf *out)
{
    struct machine machine = {0};
    machine_read(&machine);
    buf_addf(out,
             ",\"machine\":{\"memory\":%llu,\"memory_available\":%llu,\"cpus\":%llu.%03llu}",
             (unsigned long long)machine.memory, (unsigned long long)machine.memory_available,
             (unsigned long long)machine.cpus / 1000, (unsigned long long)machine.cpus % 1000);
}

void control_write_self(const struct control_host *host, struct buf *out)
{
    const struct config *config = config_of(host);
    buf_addf(out, "{\"version\":\"%s\",\"pid\":%ld,\"private\":%s", NODEY_VERSION,
             (long)getpid(), truth(host->is_private));
    buf_addf(out,
             ",\"settled\":%s,\"stopping\":%s,\"urls\":", truth(pools_settled(host->pools)),
             truth(host->pools->stopping));
    write_urls(host, out);
    write_text(host, "config", config->file, out);
    write_text(host, "dir", config->dir, out);
    write_text(host, "data_dir", config->server.data_dir, out);
    write_machine(out);
    buf_adds(out, "}\n");
}

/* -------------------------------------------------------------------- instances */

static const char *const state_names[WORKER_STATES] = {
    [WORKER_BACKOFF] = "backoff",   [WORKER_FAILED] = "failed",
    [WORKER_STARTING] = "starting", [WORKER_READY] = "ready",
    [WORKER_BUSY] = "busy",         [WORKER_UNHEALTHY] = "unhealthy",
    [WORKER_DRAINING] = "draining", [WORKER_STOPPED] = "stopped",
};

bool control_is_checked(const struct worker_config *config)
{
    const struct healthcheck_config *check = &config->healthcheck;
    if (!config->is_service)
        return true; /* it has said that it is ready */
    return !check->disabled && (config->port || check->test.count || check->path || check->tcp);
}

/* What the last check said. */
static const char *health_of(const struct worker *w)
{
    if (!control_is_checked(w->pool->config))
        return "none";
    switch (w->state) {
    case WORKER_READY:
    case WORKER_BUSY:
        return "healthy";
    case WORKER_UNHEALTHY:
        return "unhealthy";
    case WORKER_STARTING:
        return "starting";
    default:
        return "none";
    }
}

/* One that waits for its turn is as good as started. */
static const char *state_of(const struct worker *w)
{
    return state_names[startgate_waits(w) ? WORKER_STARTING : w->state];
}

/* As it was measured when this answer was begun. */
static void write_usage(const struct worker *w, struct buf *out)
{
    const struct usage *u = &w->usage;
    if (!worker_alive(w) || !w->usage_ms)
        return;
    buf_addf(out,
             ",\"usage\":{\"at_us\":%llu,\"cpu_us\":%llu,\"memory\":%llu,\"memory_limit\":%llu"
             ",\"threads\":%llu,\"processes\":%llu,\"read_bytes\":%llu,\"written_bytes\":%llu}",
             (unsigned long long)loop_clock_ns() / 1000, (unsigned long long)u->cpu_us,
             (unsigned long long)u->memory, (unsigned long long)w->pool->config->memory,
             (unsigned long long)u->threads, (unsigned long long)u->processes,
             (unsigned long long)u->read_bytes, (unsigned long long)u->written_bytes);
}

static void write_instance(const struct control_host *host, const struct worker *w,
                           enum control_detail detail, struct buf *out)
{
    uint64_t now = loop_now(w->pool->pools->loop);
    buf_addf(out, "{\"instance\":%u,\"state\":\"%s\",\"life\":%llu,\"generation\":%u",
             w->instance, state_of(w), (unsigned long long)w->life, w->generation);
    if (worker_alive(w)) {
        buf_addf(out, ",\"pid\":%ld", (long)w->proc.pid);
        if (w->started_ms && w->started_ms <= now)
            buf_addf(out, ",\"uptime_ms\":%llu", (unsigned long long)(now - w->started_ms));
    }
    if (w->port)
        buf_addf(out, ",\"port\":%llu", (unsigned long long)w->port);
    buf_addf(out, ",\"served\":%llu,\"inflight\":%u,\"health\":\"%s\"",
             (unsigned long long)w->served, w->slot_count + w->uses, health_of(w));
    write_text(host, "why", w->cause, out);
    if (detail != CONTROL_BRIEF)
        write_usage(w, out);
    buf_addc(out, '}');
}

static int by_place(const void *a, const void *b)
{
    const struct worker *x = *(const struct worker *const *)a;
    const struct worker *y = *(const struct worker *const *)b;
    if (x->instance != y->instance)
        return x->instance < y->instance ? -1 : 1;
    return x->life < y->life ? -1 : x->life > y->life;
}

/* By their places, and in one place the older first. */
static void write_instances(const struct control_host *host, const struct pool *pool,
                            enum control_detail detail, struct buf *out)
{
    size_t count = 0, at_most = pool->lives;
    const struct worker **workers = xcalloc(at_most + 1, sizeof(*workers));
    for (int state = 0; state < WORKER_STOPPED; state++)
        list_each (at, &pool->states[state])
            if (count < at_most)
                workers[count++] = container_of(at, struct worker, node);
    qsort(workers, count, sizeof(*workers), by_place);
    buf_adds(out, ",\"instances\":[");
    for (size_t i = 0; i < count; i++) {
        buf_adds(out, i ? "," : "");
        write_instance(host, workers[i], detail, out);
    }
    buf_addc(out, ']');
    xfree(workers);
}

/* -------------------------------------------------------------- routes, tokens */

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
    if (list.count == 0 && routes_by_name(pool)) {
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

/* --------------------------------------------------------------------- programs */

void control_describe_exit(const struct proc_exit *exit, char *text, size_t size)
{
    if (exit->signal)
        snprintf(text, size, "signal %d (%s)", exit->signal, strsignal(exit->signal));
    else
        snprintf(text, size, "exit code %lld", (long long)exit->code);
}

static bool has(const struct pool *pool, enum worker_state state)
{
    return !list_empty(&pool->states[state]);
}

static const char *resting_state(const struct pool *pool)
{
    switch (pool->rest) {
    case POOL_WAITS:
        return "waiting";
    case POOL_HELD:
        return has(pool, WORKER_DRAINING) ? "stopping" : "stopped";
    case POOL_DORMANT:
        return "dormant";
    case POOL_ENDED:
    default:
        return pool->ended_well ? "completed" : "exited";
    }
}

/* It would start if not so many others did. */
static bool is_in_line(const struct pool *pool)
{
    list_each (at, &pool->states[WORKER_BACKOFF])
        if (startgate_waits(container_of(at, struct worker, node)))
            return true;
    return false;
}

/* Each of its instances has crashed so often that it is hardly tried any more. */
static bool is_given_up(const struct pool *pool)
{
    for (size_t i = 0; i < pool->wanted; i++)
        if (pool->instances[i].current &&
            pool->instances[i].restart.unready < pool->policy.max_restarts)
            return false;
    return true;
}

const char *control_pool_state(const struct pool *pool)
{
    if (pool->pools->stopping)
        return pool->lives ? "stopping" : "stopped";
    if (pool->rest != POOL_RUNS)
        return resting_state(pool);
    if (has(pool, WORKER_READY))
        return "ready";
    if (has(pool, WORKER_BUSY))
        return "busy";
    if (has(pool, WORKER_UNHEALTHY))
        return "unhealthy";
    if (pool->settled && pool_is_down(pool))
        return is_given_up(pool) ? "failed" : "backoff";
    return has(pool, WORKER_STARTING) || !has(pool, WORKER_BACKOFF) || is_in_line(pool)
               ? "starting"
               : "backoff";
}

/*
 * Why it is not "ready", or has as many instances as it has, for a person; NULL when that is
 * plain.
 */
static const char *why_of(const struct pool *pool, char *text, size_t size)
{
    char how[120];
    if (pool->rest == POOL_WAITS) {
        snprintf(text, size, "waits for %s", pool->waits_for ? pool->waits_for : "another");
        return text;
    }
    if (pool->rest == POOL_ENDED && pool->ended_well)
        return NULL;
    if (pool->rest == POOL_ENDED) {
        control_describe_exit(&pool->last_exit, how, sizeof(how));
        snprintf(text, size, "ended with %s, and is not restarted", how);
        return text;
    }
    if (pool->rest == POOL_HELD)
        return "a person stopped it";
    if (pool->rest == POOL_DORMANT)
        return "its profile is not asked for";
    if (has(pool, WORKER_UNHEALTHY) && !has(pool, WORKER_READY) && !has(pool, WORKER_BUSY)) {
        const char *cause =
            list_first(&pool->states[WORKER_UNHEALTHY], struct worker, node)->cause;
        return cause[0] ? cause : "it does not answer its health checks";
    }
    return pool->trouble[0]     ? pool->trouble
           : pool->stale[0]     ? pool->stale
           : pool->scale.why[0] ? pool->scale.why
                                : NULL;
}

static void write_last_exit(const struct pool *pool, struct buf *out)
{
    char how[120];
    if (!pool->has_ended) {
        buf_adds(out, ",\"last_exit\":null");
        return;
    }
    control_describe_exit(&pool->last_exit, how, sizeof(how));
    buf_addf(out, ",\"last_exit\":{\"code\":%lld,\"signal\":%d,\"words\":",
             (long long)pool->last_exit.code, pool->last_exit.signal);
    json_write(out, slice_of(how));
    buf_addc(out, '}');
}

static size_t count_in(const struct pool *pool, enum worker_state first, enum worker_state last)
{
    size_t count = 0;
    for (int state = first; state <= (int)last; state++)
        count += list_count(&pool->states[state]);
    return count;
}

void control_write_program(const struct control_host *host, const struct pool *pool,
                           enum control_detail detail, struct buf *out)
{
    char why[640];
    const struct worker_config *config = pool->config;
    buf_adds(out, "{\"name\":");
    json_write(out, slice_of(config->name));
    buf_addf(out, ",\"kind\":\"%s\",\"state\":\"%s\"",
             config->is_service ? "service" : "worker", control_pool_state(pool));
    buf_addf(out, ",\"settled\":%s,\"renewing\":%s,\"flapping\":%s", truth(pool->settled),
             truth(pool->renewing), truth(pool->flapping));
    write_text(host, "why", why_of(pool, why, sizeof(why)), out);
    write_text(host, "trouble", pool->trouble, out);
    write_text(host, "waits_for", pool->waits_for, out);
    buf_addf(out, ",\"wanted\":%zu,\"ready\":%zu,\"min\":%llu,\"max\":%llu,\"queue\":%zu",
             pool->wanted, count_in(pool, WORKER_READY, WORKER_BUSY),
             (unsigned long long)config->instances_min, (unsigned long long)config->instances,
             pool->waiting);
    buf_addf(out, ",\"restarts\":%llu,\"generation\":%u", (unsigned long long)pool->restarts,
             pool->generation);
    write_last_exit(pool, out);
    write_instances(host, pool, detail, out);
    write_routes(config_of(host), pool, out);
    write_tokens(pool, out);
    buf_adds(out, ",\"groups\":");
    events_write_groups(host->events, pool, out);
    if (detail == CONTROL_ABOUT)
        control_write_about(host, pool, out);
    buf_addc(out, '}');
}

void control_write_programs(const struct control_host *host, enum control_detail detail,
                            struct buf *out)
{
    const char *before = "[";
    list_each (at, &host->pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (pool->leaving) /* another one may have its name */
            continue;
        if (detail != CONTROL_BRIEF)
            limits_measure(pool);
        buf_adds(out, before);
        control_write_program(host, pool, detail, out);
        before = ",\n";
    }
    buf_adds(out, *before == '[' ? "[]\n" : "]\n");
}
