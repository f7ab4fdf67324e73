#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/banner.h"
#include "app/chaos.h"
#include "app/datadir.h"
#include "app/environment.h"
#include "app/keeper.h"
#include "app/logsink.h"
#include "app/passed.h"
#include "loop/orphans.h"

enum { PATIENCE_MS = 5000 }; /* between two words about workers that are not ready */

/* ---------------------------------------------------------------------- log */

static void set_up_log(struct app *app)
{
    const struct server_config *server = &app->config->server;
    bool json = server->log_format == LOG_FORMAT_JSON;
    enum log_form form = json ? LOG_JSON : log_form_for(STDERR_FILENO);
    bool dimmed = form == LOG_COLOURED && app->options->private_socket;
    bool silent = app->options->background && app->listening && server->log_files;
    log_setup(server->log_level, form,
              silent   ? logsink_nobody
              : dimmed ? logsink_dimmed
                       : logsink_plain,
              &app->err);
}

static void open_log(struct app *app)
{
    sink_init(&app->err, STDERR_FILENO);
    sink_init(&app->out, STDOUT_FILENO);
    set_up_log(app);
}

/* Thousands of connections want descriptors; the hard limit is what we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        IGNORE(setrlimit(RLIMIT_NOFILE, &limit)); /* then fewer connections fit */
    }
}

/* --------------------------------------------------------------------- port */

void app_tell_manager(struct app *app)
{
    const char *url = app->server ? http_server_url(app->server, 0) : NULL;
    notify_programs(&app->notify, &app->pools, url);
}

void app_open_port(struct app *app)
{
    struct err err;
    const char *given = app->options->listen;
    const char *address = given ? given : app->config->server.listen;
    app->listening = true;
    int passed = app->passed;
    app->passed = -1;
    int rc = passed >= 0 ? http_server_take(app->server, passed, &err)
                         : http_server_listen(app->server, address, &err);
    if (rc) {
        banner_no_port(address, &err);
        app->exit_code = 1;
        app_stop(app, 0);
        return;
    }
    banner_show(app->config, &app->pools, http_server_url(app->server, 0), app->watching);
    notify_ready(&app->notify);
    app_tell_manager(app);
    if (app->options->background && app->config->server.log_files)
        log_line(LOG_INFO, APP_WHO, "what follows is in the log files: nodey logs");
    set_up_log(app);
}

/* -------------------------------------------------------------------- reload */

static void on_applied(void *arg)
{
    struct app *app = arg;
    discreet_learn(&app->discreet, app->config);
    set_up_log(app);
    logbook_configure(&app->logbook, &app->config->server);
    if (!app->options->private_socket)
        incidents_configure(&app->incidents, app->config->server.incidents,
                            app->config->server.secrets.items);
    app->access.kind = access_kind(app->config->server.access_log, app->dev);
    gateway_access_changed(&app->gateway);
    follow_configure(&app->busdoor.follow, app->config);
    confined_tell(&app->confined, &app->pools);
}

static void on_loading(void *arg, bool begins)
{
    struct app *app = arg;
    if (begins)
        notify_reloading(&app->notify);
    else
        notify_reloaded(&app->notify);
}

static void start_reload(struct app *app)
{
    reload_start(&app->reload, app->watching,
                 &(struct reload_host){
                     .file = app->options->file,
                     .listen = app->options->listen,
                     .config = &app->config,
                     .sdk = &app->sdk,
                     .loop = &app->loop,
                     .pools = &app->pools,
                     .routes = &app->routes,
                     .gateway = &app->gateway,
                     .events = &app->events,
                     .server = app->server,
                     .at_terminal = isatty(STDERR_FILENO),
                     .applied = on_applied,
                     .loading = on_loading,
                     .arg = app,
                 });
}

static int on_reload(void *arg, struct buf *report, struct err *err)
{
    struct app *app = arg;
    return reload_run(&app->reload, report, err);
}

/* ------------------------------------------------------------------- control */

static const char *url_of(void *arg, size_t n)
{
    struct app *app = arg;
    return app->server ? http_server_url(app->server, n) : NULL;
}

static void on_down(void *arg, uint64_t limit_ms)
{
    struct app *app = arg;
    if (app->stopping)
        return;
    log_line(LOG_INFO, APP_WHO, "shutting down: a person said so");
    app_stop(app, limit_ms);
}

/* Without it programs are served all the same; but a run for one command needs it. */
static void open_control(struct app *app)
{
    struct err err;
    const char *private = app->options->private_socket;
    char *path = private ? xstrdup(private) : control_path(app->config->server.data_dir);
    control_init(&app->control, &app->loop,
                 &(struct control_host){.pools = &app->pools,
                                        .gateway = &app->gateway,
                                        .events = &app->events,
                                        .follow = &app->busdoor.follow,
                                        .story = &app->story,
                                        .state = private ? NULL : &app->state,
                                        .secrets = &app->discreet.secrets,
                                        .reload = private ? NULL : on_reload,
                                        .down = private ? NULL : on_down,
                                        .url = url_of,
                                        .arg = app,
                                        .is_private = private != NULL});
    if (control_open(&app->control, path, &err)) {
        log_line(LOG_WARN, APP_WHO, "%s: nodey call, ask and reload cannot reach this nodey",
                 err.text);
        if (private && !app->stopping)
            app_stop(app, 0);
    }
    xfree(path);
}

/* ---------------------------------------------------------------------- start */

static void make_server(struct app *app)
{
    struct http_options options = reload_http_options(app->config, &app->gateway.handler);
    app->server = http_server_new(&app->loop, &options);
}

static struct string_list list_of(const char *const *words)
{
    struct string_list list = {.items = (const char **)words};
    while (words && words[list.count])
        list.count++;
    return list;
}

static bool is_named(const struct app *app, const char *name)
{
    for (const char *const *at = app->options->only; at && *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

/* What a person stopped in an earlier run, and does not name now, stays so. */
static void hold_stopped(struct app *app)
{
    if (app->options->private_socket)
        return;
    state_open(&app->state, app->config->server.data_dir);
    list_each (at, &app->pools.list) {
        struct pool *pool = container_of(at, struct pool, node);
        const char *name = pool->config->name;
        bool stays = pool->config->restart.when == RESTART_UNLESS_STOPPED;
        if (stays && state_is_stopped(&app->state, name) && !is_named(app, name))
            pool_hold(pool, "it was stopped in an earlier run");
    }
}

static void make_pools(struct app *app)
{
    app_observe(app);
    pools_init(&app->pools, &app->loop, &app->observer);
    app->pools.env = (const char *const *)app->env;
    app->pools.bare_env = (const char *const *)app->bare_env;
    app->pools.watching = app->watching;
    app->pools.server = "nodey/" NODEY_VERSION;
    app->pools.dev = app->dev;
    probes_init(&app->probes, &app->loop);
    app->pools.prober = &app->probes.prober;
    app->pools.cgroups = &app->confined.cgroups;
    app->pools.profiles = list_of(app->options->profiles);
    app->pools.only = list_of(app->options->only);
    for (size_t i = 0; i < app->config->worker_count; i++)
        pool_new(&app->pools, &app->config->workers[i]);
}

/* The port is not open yet, and somebody may wonder why. */
static void on_patience(struct timer *timer)
{
    struct app *app = container_of(timer, struct app, patience);
    if (app->listening || app->stopping)
        return;
    list_each (at, &app->pools.list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (!pool->settled && pool->rest == POOL_WAITS)
            log_line(LOG_INFO, APP_WHO, "the port opens when %s runs, which waits for %s",
                     pool->config->name, pool->waits_for);
        else if (!pool->settled)
            log_line(LOG_INFO, APP_WHO,
                     "the port opens when %s is ready, or has not become so in %llu s",
                     pool->config->name,
                     (unsigned long long)pool->config->start_timeout / 1000);
    }
    timer_start(&app->loop, &app->patience, PATIENCE_MS, on_patience);
}

/* A run for one command leaves none: its log says all of it. */
static void make_incidents(struct app *app)
{
    const struct server_config *server = &app->config->server;
    incidents_init(&app->incidents, &app->pools, server->data_dir,
                   app->options->private_socket ? 0 : server->incidents,
                   &(struct incident_secrets){.values = &app->discreet.secrets,
                                              .names = server->secrets.items});
}

static void make_errors(struct app *app)
{
    if (app->dev)
        tails_init(&app->tails);
    app->errors = (struct errorpage){
        .dev = app->dev,
        .watching = app->watching,
        .routes = &app->routes,
        .tails = &app->tails,
        .sdk_python = app->sdk.python,
        .sdk_node = app->sdk.node,
        .secrets = &app->discreet.secrets,
    };
    app->gateway.errors = &app->errors;
    busdoor_init(&app->busdoor, &app->loop, &app->events, &app->errors);
    app->gateway.busdoor = &app->busdoor;
}

static void start_pools(struct app *app)
{
    confined_tell(&app->confined, &app->pools);
    timer_start(&app->loop, &app->patience, PATIENCE_MS, on_patience);
    hold_stopped(app);
    pools_start(&app->pools);
    if (app->config->empty)
        log_line(LOG_INFO, APP_WHO, "%s", app->config->empty);
    if (app->config->empty || !app->config->worker_count)
        app_open_port(app);
}

static void start(struct app *app)
{
    const struct config *config = app->config;
    sink_attach(&app->err, &app->loop);
    sink_attach(&app->out, &app->loop);
    if (!app->options->private_socket) /* the nodey that is up keeps its own */
        logbook_open(&app->logbook, &app->loop, &app->config->server);
    loop_set_spin(&app->loop, config->server.spin);
    orphans_adopt(&app->loop);
    make_pools(app);
    make_incidents(app);
    routes_init(&app->routes, app->config, &app->pools);
    app->access = (struct access){.kind = access_kind(config->server.access_log, app->dev),
                                  .sink = &app->out,
                                  .secrets = &app->discreet.secrets};
    gateway_init(&app->gateway, &app->loop, &app->routes, &app->access);
    make_errors(app);
    make_server(app);
    start_reload(app);
    app->listening = app->options->private_socket != NULL; /* such a run opens no port */
    app_obey_signals(app);
    notify_start(&app->notify, &app->loop);
    app_tell_manager(app);
    start_pools(app);
    open_control(app);
}

/* A run for one command shares the folder with the nodey that may be up. */
static int open_data_dir(const struct app *app, struct err *err)
{
    const char *data_dir = app->config->server.data_dir;
    return app->options->private_socket ? datadir_make(data_dir, err)
                                        : datadir_open(data_dir, err);
}

static void tell_chaos(const struct chaos *chaos)
{
    struct buf words = {0};
    if (!chaos)
        return;
    chaos_describe(chaos, &words);
    log_line(LOG_WARN, APP_WHO,
             "chaos is on, and messages suffer on purpose; the same again: --chaos %s",
             buf_cstr(&words));
    buf_deinit(&words);
}

/* Before a worker is started: what cannot be stored is no reason to run what needs it. */
static int start_events(struct app *app)
{
    struct err err;
    events_init(&app->events,
                &(struct events_host){.loop = &app->loop,
                                      .pools = &app->pools,
                                      .config = &app->config,
                                      .chaos = app->options->chaos,
                                      .is_private = app->options->private_socket &&
                                                    !app->options->plays});
    tell_chaos(app->options->chaos);
    flowgraph_init(&app->flowgraph, &app->events);
    story_init(&app->story, &app->events, &app->flowgraph, app->options->plays);
    if (events_start(&app->events, &err) == 0)
        return 0;
    log_line(LOG_ERROR, APP_WHO, "events and jobs: %s", err.text);
    return 1;
}

/* What can go wrong before anything runs. */
static int prepare(struct app *app)
{
    struct err err;
    char run[40];
    const char *data_dir = app->config->server.data_dir;
    if (app->config->empty && !app->watching) {
        log_line(LOG_ERROR, APP_WHO, "%s", app->config->empty);
        return 1;
    }
    if (open_data_dir(app, &err) || sdk_unpack(&app->sdk, data_dir, &err)) {
        log_line(LOG_ERROR, APP_WHO, "%s", err.text);
        return 1;
    }
    bool tells = !log_is_pretty() && !app->options->private_socket;
    for (size_t i = 0; tells && i < app->config->notes.count; i++)
        log_line(LOG_INFO, APP_WHO, "%s", app->config->notes.items[i]); /* else the banner's */
    sdk_resolve(&app->sdk, app->config);
    sdk_link_modules(&app->sdk, app->config);
    raise_descriptor_limit();
    environment_new_run(run, sizeof(run));
    confined_open(&app->confined, app->config, app->options->private_socket != NULL);
    keeper_start(run);
    app->env = environment_new(&app->sdk, run);
    app->bare_env = environment_new_bare(&app->sdk, run);
    int rc = loop_init(&app->loop);
    if (rc)
        log_line(LOG_ERROR, APP_WHO, "cannot start the event loop: %s", loop_strerror(rc));
    return rc ? 1 : start_events(app);
}

static void release(struct app *app)
{
    gateway_deinit(&app->gateway);
    busdoor_deinit(&app->busdoor);
    errorpage_deinit(&app->errors);
    tails_deinit(&app->tails);
    routes_deinit(&app->routes);
    incidents_deinit(&app->incidents);
    events_deinit(&app->events);
    story_deinit(&app->story);
    flowgraph_deinit(&app->flowgraph);
    pools_deinit(&app->pools);
    confined_close(&app->confined);
    logbook_deinit(&app->logbook);
    state_close(&app->state);
    if (loop_deinit(&app->loop))
        log_line(LOG_DEBUG, APP_WHO, "a handle was left open");
}

static bool decide(bool yes, bool no, int configured, bool automatic)
{
    if (yes || no)
        return yes;
    return configured == AUTO_AUTO ? automatic : configured == AUTO_ON;
}

int app_run(struct config *config, const struct app_options *options)
{
    struct app *app = xcalloc(1, sizeof(*app));
    const struct server_config *server = &config->server;
    app->config = config;
    app->options = options;
    app->dev = decide(options->dev, options->no_dev, server->dev, isatty(STDERR_FILENO));
    app->watching = decide(options->watch, options->no_watch, server->watch, app->dev);
    open_log(app);
    notify_init(&app->notify);
    const char *address = options->listen ? options->listen : server->listen;
    app->passed = options->private_socket ? -1 : passed_take(address);
    discreet_learn(&app->discreet, config);
    app->exit_code = prepare(app);
    if (app->exit_code == 0) {
        start(app);
        loop_run(&app->loop);
        release(app);
    }
    sink_detach(&app->err);
    sink_detach(&app->out);
    int rc = app->exit_code;
    notify_deinit(&app->notify);
    discreet_deinit(&app->discreet);
    environment_free(app->env);
    environment_free(app->bare_env);
    sdk_deinit(&app->sdk);
    config_release(app->config);
    xfree(app);
    return rc;
}
