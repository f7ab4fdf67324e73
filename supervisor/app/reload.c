#include "app/reload.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "config/diff.h"
#include "config/executable.h"
#include "pool/ask.h"

static const char who[] = "nodey";

/* For the control socket: whoever wants to see why nobody is served must get in. */
enum { SPARE_FILES = 4 };

struct http_options reload_http_options(const struct config *config,
                                        struct http_handler *handler)
{
    const struct server_config *s = &config->server;
    return (struct http_options){
        .limits =
            {
                .head_bytes = s->max_head,
                .target_bytes = s->max_target,
                .header_count = s->max_headers,
                .body_bytes = s->max_body,
                .header_timeout_ms = s->header_timeout,
                .body_timeout_ms = s->body_timeout,
                .idle_timeout_ms = s->idle_timeout,
                .send_timeout_ms = s->send_timeout,
                .connections = s->max_connections,
                .spare_files = SPARE_FILES,
            },
        .trusted_proxies = s->trusted_proxies.items,
        .handler = handler,
    };
}

static const char *kind_of(const struct worker_config *w)
{
    return w->is_service ? "service" : "worker";
}

static void remove_pool(const struct reload_host *r, struct pool *pool)
{
    cached_purge_pool(&r->gateway->cached, pool);
    events_pool_removed(r->events, pool);
    pool_remove(pool, *r->config);
}

/* A worker that became a service of the same name is another program. */
static void add_or_remove(const struct reload_host *r, const struct worker_change *change,
                          struct buf *report)
{
    const struct worker_config *before = change->before, *after = change->after;
    struct pool *pool = pools_find(r->pools, slice_of(after ? after->name : before->name));
    bool goes = pool && (!after || after->is_service != pool->config->is_service);
    if (goes) {
        remove_pool(r, pool);
        buf_addf(report, "%s %s: removed\n", kind_of(before), before->name);
    }
    if (after && (!pool || goes)) {
        pool_new(r->pools, after); /* starts when all that it may depend on is there */
        buf_addf(report, "%s %s: new\n", kind_of(after), after->name);
    }
}

/* Every pool reads its settings from the new configuration: the old one goes. */
static void change_pool(const struct reload_host *r, const struct worker_change *change,
                        struct buf *report)
{
    const struct worker_config *w = change->after;
    struct pool *pool = w ? pools_find(r->pools, slice_of(w->name)) : NULL;
    if (!pool || !pool->begun)
        return;
    pool_configure(pool, w);
    if (change->change == CHANGE_NONE)
        return;
    bool renews = change->change == CHANGE_PROCESS;
    const char *how = !renews               ? ""
                      : pool_overlaps(pool) ? ", its processes are being replaced"
                      : w->port ? ", and has a port of its own: the old one ends first"
                                : ", and has no port = \"auto\": the old one ends first";
    buf_addf(report, "%s %s: changed%s\n", kind_of(w), w->name, how);
    if (renews)
        pool_renew(pool, "its configuration changed");
}

static void change_pools(const struct reload_host *r, const struct config_diff *diff,
                         struct buf *report)
{
    for (size_t i = 0; i < diff->count; i++)
        add_or_remove(r, &diff->workers[i], report);
    for (size_t i = 0; i < diff->count; i++)
        change_pool(r, &diff->workers[i], report);
    pools_start(r->pools);
}

static void change_server(const struct reload_host *r, const struct config *next)
{
    struct http_options options = reload_http_options(next, &r->gateway->handler);
    http_server_configure(r->server, &options);
    loop_set_spin(r->loop, next->server.spin);
    cached_resize(&r->gateway->cached, next->server.cache_size);
}

static void tell_of_restart(const struct config_diff *diff, struct buf *report)
{
    for (size_t i = 0; i < diff->restart.count; i++) {
        log_line(LOG_WARN, who, "[server] %s has changed: that needs a restart",
                 diff->restart.items[i]);
        buf_addf(report, "[server] %s: changed, which needs a restart\n",
                 diff->restart.items[i]);
    }
}

static void apply(const struct reload_host *r, struct config *next,
                  const struct config_diff *diff, struct buf *report)
{
    change_pools(r, diff, report);
    change_server(r, next);
    if (diff->server)
        buf_adds(report, "[server]: changed\n");
    if (diff->routes)
        buf_adds(report, "routes: changed\n");
    if (diff->bus)
        buf_adds(report, "events and jobs: changed\n");
    tell_of_restart(diff, report);
    routes_configure(r->routes, next);
    proxy_configure(&r->gateway->proxy);
    ask_tokens_changed(r->pools);
    config_release(*r->config);
    *r->config = next;
    events_configure(r->events);
    r->applied(r->arg);
}

/* Notes that were not there before are news. */
static void tell_notes(const struct config *before, const struct config *after)
{
    for (size_t i = 0; i < after->notes.count; i++) {
        bool known = false;
        for (size_t j = 0; j < before->notes.count && !known; j++)
            known = strcmp(after->notes.items[i], before->notes.items[j]) == 0;
        if (!known)
            log_line(LOG_INFO, who, "%s", after->notes.items[i]);
    }
}

/* What cannot change stays as it is, and is told of at each reload until a restart. */
static int load_again(struct reload *reload, struct buf *report, struct err *err)
{
    const struct reload_host *r = &reload->host;
    struct arena scratch = {0};
    struct config_diff diff;
    if (reload->stopped)
        return err_set(err, -1, "nodey is shutting down");
    struct config *next = config_load_listening(r->file, r->listen, err);
    if (next && executable_check(next, /* dormant= */ false, err)) {
        config_release(next);
        next = NULL;
    }
    snprintf(reload->trouble, sizeof(reload->trouble), "%s", next ? "" : err->text);
    if (!next)
        return -1;
    sdk_resolve(r->sdk, next);
    sdk_link_modules(r->sdk, next); /* `npm install` removes what it does not know */
    if (config_diff(&scratch, *r->config, next, &diff) > 0) {
        tell_notes(*r->config, next);
        apply(r, next, &diff, report);
        live_pools_changed(&reload->live);
    } else {
        config_release(next);
    }
    arena_deinit(&scratch);
    return 0;
}

/* A person's number of instances held until now. */
static void follow_load_again(struct pools *pools)
{
    list_each (at, &pools->list)
        scale_release(container_of(at, struct pool, node));
}

int reload_run(struct reload *reload, struct buf *report, struct err *err)
{
    reload->host.loading(reload->host.arg, true);
    int rc = load_again(reload, report, err);
    if (rc == 0) {
        follow_load_again(reload->host.pools);
        live_look(&reload->live, report);
    }
    reload->host.loading(reload->host.arg, false);
    return rc;
}

/* ----------------------------------------------------------------- occasions */

/* Asked for without a word: by a signal. */
static void on_hangup(struct sig *sig, int signum)
{
    struct reload *reload = container_of(sig, struct reload, hangup);
    struct buf report = {0};
    struct err err;
    (void)signum;
    if (reload->host.at_terminal && !isatty(STDERR_FILENO)) { /* it has been closed */
        IGNORE(raise(SIGTERM)); /* fails for no signal that there is */
        return;
    }
    if (reload_run(reload, &report, &err))
        log_line(LOG_ERROR, who, "%s; nothing has changed", err.text);
    else if (!report.len)
        log_line(LOG_INFO, who, "reloaded: nothing has changed");
    buf_deinit(&report);
}

/* Something was saved: what is still wrong as it was before is not told again. */
static void on_saved(void *arg)
{
    struct reload *reload = arg;
    struct buf report = {0};
    struct err err;
    char *before = xstrdup(reload->trouble);
    if (load_again(reload, &report, &err) && strcmp(reload->trouble, before) != 0)
        log_line(LOG_ERROR, who, "%s; nothing has changed", err.text);
    buf_deinit(&report);
    xfree(before);
}

static const struct config *config_in_use(void *arg)
{
    return *((struct reload *)arg)->host.config;
}

void reload_start(struct reload *reload, bool watching, const struct reload_host *host)
{
    *reload = (struct reload){.host = *host};
    live_start(&reload->live, host->loop, host->pools,
               &(struct live_host){on_saved, config_in_use, reload}, watching);
    IGNORE(sig_start(&reload->hangup, host->loop, SIGHUP, on_hangup)); /* then it ends nodey */
}

void reload_stop(struct reload *reload)
{
    reload->stopped = true;
    live_stop(&reload->live);
}

void reload_end(struct reload *reload)
{
    sig_stop(&reload->hangup);
}
