#include "app/proxy_target.h"

static const double retry_share = 0.1;

/* ------------------------------------------------------------------ registry */

static void target_free(struct proxy_targets *t, struct proxy_target *target)
{
    keymap_remove(&t->map, &target->node);
    list_del(&target->all);
    upstream_close(&target->upstream);
    upstream_deinit(&target->upstream);
    arena_deinit(&target->arena);
    xfree(target);
}

/* Is nothing of it left that would be missed?  An instance that comes again is as good as new.
 */
static bool is_spent(const struct proxy_target *target)
{
    bool is_idle = target->life && target->out_until_ms <= loop_now(target->upstream.loop);
    return (target->upstream.closing || is_idle) && target->upstream.links == 0 &&
           target->active == 0;
}

void targets_sweep(struct proxy_targets *t)
{
    list_each_safe (at, &t->all) {
        struct proxy_target *target = container_of(at, struct proxy_target, all);
        if (is_spent(target))
            target_free(t, target);
    }
}

static struct proxy_target *target_new(struct proxy_targets *t, const char *name, uint64_t id,
                                       uint64_t hash)
{
    struct proxy_target *target = xcalloc(1, sizeof(*target));
    target->name = arena_strdup(&target->arena, slice_of(name));
    target->id = id;
    target->retry_budget = TARGET_RETRY_BURST;
    list_add(&t->all, &target->all);
    keymap_add(&t->map, &target->node, hash);
    return target;
}

static struct proxy_target *find(const struct proxy_targets *t, uint64_t hash, uint64_t life,
                                 const char *name)
{
    struct keymap_node *at = keymap_find(&t->map, hash);
    for (; at; at = keymap_next(at)) {
        struct proxy_target *target = container_of(at, struct proxy_target, node);
        if (target->life == life && !target->upstream.closing &&
            (life || strcmp(target->name, name) == 0))
            return target;
    }
    return NULL;
}

struct proxy_target *targets_address(struct proxy_targets *t, const char *url)
{
    uint64_t id = share_id(slice_of(url));
    struct proxy_target *target = find(t, id, 0, url);
    struct err err;
    if (target)
        return target;
    target = target_new(t, url, id, id);
    target->wanted = true;
    if (!route_url_read(url, &target->arena, &target->url))
        target->url.address = "";
    if (upstream_init(&target->upstream, t->loop, target->url.address, &err) == 0)
        return target;
    target->upstream.closing = true; /* the configuration was checked: too long a path */
    target_free(t, target);
    return NULL;
}

static uint64_t hash_life(uint64_t life)
{
    return share_key((struct slice){(const char *)&life, sizeof(life)});
}

struct proxy_target *targets_worker(struct proxy_targets *t, const struct worker *w)
{
    uint64_t hash = hash_life(w->life);
    struct proxy_target *target = find(t, hash, w->life, NULL);
    if (target)
        return target;
    target = target_new(t, w->name, share_id(slice_of(w->name)), hash);
    target->life = w->life;
    upstream_init_local(&target->upstream, t->loop, (uint16_t)w->port);
    target->url.authority = arena_copy(&target->arena, slice_of(target->upstream.peer.name));
    return target;
}

void targets_leave(struct proxy_targets *t, const struct worker *w)
{
    struct proxy_target *target = find(t, hash_life(w->life), w->life, NULL);
    if (target)
        upstream_close(&target->upstream);
}

void targets_configure(struct proxy_targets *t, const struct config *config)
{
    list_each (at, &t->all)
        container_of(at, struct proxy_target, all)->wanted = false;

    for (size_t i = 0; i < config->route_count; i++)
        for (size_t j = 0; j < config->routes[i].urls.count; j++) {
            struct proxy_target *target = targets_address(t, config->routes[i].urls.items[j]);
            if (target)
                target->wanted = true;
        }
    list_each (at, &t->all) {
        struct proxy_target *target = container_of(at, struct proxy_target, all);
        if (!target->wanted && !target->life)
            upstream_close(&target->upstream);
    }
    targets_sweep(t);
}

void targets_init(struct proxy_targets *t, struct loop *loop)
{
    *t = (struct proxy_targets){.loop = loop};
    list_init(&t->all);
}

void targets_close(struct proxy_targets *t)
{
    list_each (at, &t->all)
        upstream_close(&container_of(at, struct proxy_target, all)->upstream);
}

void targets_deinit(struct proxy_targets *t)
{
    targets_close(t);
    targets_sweep(t);
    keymap_deinit(&t->map);
}

/* --------------------------------------------------------------------- state */

struct share target_share(const struct proxy_target *target, uint64_t now_ms)
{
    return (struct share){
        .id = target->id,
        .active = target->active,
        .turn = target->turn,
        .well = target->out_until_ms <= now_ms,
        .out = !upstream_known(&target->upstream) || target->upstream.closing,
    };
}

void target_take(struct proxy_targets *t, struct proxy_target *target)
{
    target->turn = ++t->turns;
    target->active++;
    target->retry_budget = MIN(target->retry_budget + retry_share, (double)TARGET_RETRY_BURST);
}

void target_release(struct proxy_target *target)
{
    target->active--;
}

bool target_may_retry(struct proxy_target *target)
{
    if (target->retry_budget < 1)
        return false;
    target->retry_budget -= 1;
    return true;
}

void target_failed(struct proxy_target *target, const struct route_config *route,
                   const char *who, const char *why)
{
    target->fails++;
    upstream_refused(&target->upstream);
    if (route->max_fails == 0 || target->fails < route->max_fails)
        return;
    target->out_until_ms = loop_now(target->upstream.loop) + route->fail_duration;
    if (!target->told)
        log_line(LOG_WARN, who, "%s fails and is left out where there is another: %s",
                 target->name, why);
    target->told = true;
}

void target_worked(struct proxy_target *target, const char *who)
{
    target->fails = 0;
    target->out_until_ms = 0;
    if (target->told)
        log_line(LOG_INFO, who, "%s answers again", target->name);
    target->told = false;
}
