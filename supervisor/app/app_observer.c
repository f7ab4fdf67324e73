#include <string.h>

#include "app/app_parts.h"
#include "app/banner.h"

static struct app *app_of(struct pool_observer *observer)
{
    return container_of(observer, struct app, observer);
}

static void on_tell(struct pool_observer *observer, const struct pool *pool,
                    const struct worker *w, enum log_level level, const char *sentence)
{
    struct app *app = app_of(observer);
    sentence = discreet_sentence(&app->discreet, sentence);
    log_line(level, w ? w->name : pool->config->name, "%s", sentence);
    control_told(&app->control, pool, level, sentence);
    tails_told(&app->tails, pool, w, level, sentence);
}

static void on_wrote(struct pool_observer *observer, const struct worker_line *line)
{
    struct app *app = app_of(observer);
    struct worker_line shown = discreet_line(&app->discreet, line);
    struct call_about about;
    line = &shown;
    bool repeats = tails_repeats(&app->tails, line);
    tails_wrote(&app->tails, line);
    if (repeats)
        return;
    call_describe(line->call, &about);
    log_write(&(struct log_entry){
        .level = line->level,
        .who = line->worker->name,
        .stream = line->stream,
        .text = line->text,
        .fields = line->fields,
        .cut = line->cut,
        .request = slice_of(about.what),
        .request_id = about.request_id,
    });
}

static void on_ended(struct pool_observer *observer, struct pool *pool, struct worker *w,
                     const char *how)
{
    struct app *app = app_of(observer);
    (void)pool;
    incidents_ended(&app->incidents, w, how);
    events_ended(&app->events, w);
}

static void on_ready(struct pool_observer *observer, struct pool *pool, struct worker *w)
{
    struct app *app = app_of(observer);
    bool is_new = w->generation != pool->kept_generation;
    if (is_new) {
        pool->kept_generation = w->generation;
        cached_purge_pool(&app->gateway.cached, pool);
    }
    tails_ready(&app->tails, pool);
    incidents_ready(&app->incidents, w);
    events_ready(&app->events, pool, w);
    flowgraph_ready(&app->flowgraph, pool, w);
    proxy_wake(&app->gateway.proxy);
    routes_rebuild(&app->routes);
    if (is_new && app->listening)
        banner_tell_ready(app->config, pool);
    if (!app->stopping)
        live_pool_ready(&app->reload.live, pool);
    app_tell_manager(app);
}

static void on_failed(struct pool_observer *observer, struct pool *pool, struct worker *w)
{
    struct app *app = app_of(observer);
    (void)w;
    sdk_link_modules(&app->sdk, app->config); /* what it did not find may have been nodey */
    if (!app->stopping)
        live_pool_failed(&app->reload.live, pool);
    app_tell_manager(app);
}

/* Whose end nodey's is to be has ended for good. */
static void on_changed(struct pool_observer *observer, struct pool *pool)
{
    struct app *app = app_of(observer);
    const char *name = app->options->exit_code_from;
    proxy_wake(&app->gateway.proxy);
    app_tell_manager(app);
    if (!name || app->stopping || pool->rest != POOL_ENDED ||
        strcmp(name, pool->config->name) != 0)
        return;
    const struct proc_exit *end = &pool->last_exit;
    log_line(LOG_INFO, APP_WHO, "%s has ended, and nodey with it", name);
    app->exit_code = end->signal ? EXIT_KILLED + end->signal : (int)(end->code & 0xff);
    app_stop(app, 0);
}

static void on_room(struct pool_observer *observer, struct pool *pool)
{
    events_room(&app_of(observer)->events, pool);
}

static void on_framed(struct pool_observer *observer, struct worker *w, const struct frame *f)
{
    events_framed(&app_of(observer)->events, w, f);
}

/* Who does not start is reported, and the others are served. */
static void on_settled(struct pool_observer *observer, struct pool *pool)
{
    struct app *app = app_of(observer);
    (void)pool;
    if (!app->listening && !app->stopping && pools_settled(&app->pools))
        app_open_port(app);
}

static void on_stopped(struct pool_observer *observer)
{
    app_end(app_of(observer));
}

void app_observe(struct app *app)
{
    app->observer = (struct pool_observer){
        .tell = on_tell,
        .wrote = on_wrote,
        .ready = on_ready,
        .failed = on_failed,
        .settled = on_settled,
        .ended = on_ended,
        .changed = on_changed,
        .room = on_room,
        .framed = on_framed,
        .stopped = on_stopped,
    };
}
