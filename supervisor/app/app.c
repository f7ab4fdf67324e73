#include "app/app.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/datadir.h"
#include "app/gateway.h"
#include "app/keeper.h"
#include "app/sdk.h"
#include "loop/orphans.h"
#include "loop/sig.h"

enum {
    HTTP_SHARE = 60,      /* per cent of shutdown_timeout for the requests under way */
    SAME_SIGNAL_MS = 200, /* a wrapper may pass on what the terminal sent to us as well */
    PATIENCE_MS = 5000,   /* between two words about workers that are not ready */
    KILL_RESERVE = 500,   /* ms of it kept for the end of what had to be killed */
    EXIT_KILLED = 128,
};

struct app {
    struct config *config;
    const struct app_options *options;
    bool dev;
    bool watching;
    struct loop loop;
    struct sink err;
    struct sink out;
    struct sdk sdk;
    char **env;
    struct pool_observer observer;
    struct pools pools;
    struct routes routes;
    struct access access;
    struct gateway gateway;
    struct http_server *server;
    struct sig term;
    struct sig interrupt;
    struct timer limit;
    struct timer patience;
    uint64_t asked_ms;   /* when the first signal to stop came */
    uint64_t stop_at_ms; /* when everything must have ended */
    bool listening;
    bool stopping;
    int exit_code;
};

static const char who[] = "nodey";

/* ---------------------------------------------------------------------- log */

static void to_sink(void *arg, struct slice line)
{
    sink_write(arg, line);
}

static void open_log(struct app *app)
{
    const struct server_config *server = &app->config->server;
    sink_init(&app->err, STDERR_FILENO);
    sink_init(&app->out, STDOUT_FILENO);
    bool colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    log_setup(server->log_level, server->log_format == LOG_FORMAT_JSON, colour, to_sink,
              &app->err);
}

/* --------------------------------------------------------------- environment */

/* "NAME=first" or "NAME=first:inherited". */
static char *path_entry(const char *name, const char *first)
{
    const char *inherited = getenv(name);
    if (inherited && *inherited)
        return xasprintf("%s=%s:%s", name, first, inherited);
    return xasprintf("%s=%s", name, first);
}

static void new_run_id(char *text, size_t size)
{
    uint32_t words[4];
    arc4random_buf(words, sizeof(words));
    snprintf(text, size, "%08x%08x%08x%08x", words[0], words[1], words[2], words[3]);
}

/* Ours, inherited, with what every worker gets; see pool/environ.c for the rest. */
static char **build_env(const struct sdk *sdk, const char *run)
{
    size_t n = 0, at = 0;
    while (environ[n])
        n++;
    char **env = xcalloc(n + 8, sizeof(*env));
    for (; at < n; at++)
        env[at] = xstrdup(environ[at]);
    env[at++] = xstrdup("PYTHONUNBUFFERED=1");
    env[at++] = path_entry("PYTHONPATH", sdk->python);
    env[at++] = path_entry("NODE_PATH", sdk->node);
    env[at++] = xasprintf("NODEY_RUN=%s", run);
    return env;
}

static void free_env(char **env)
{
    for (char **at = env; at && *at; at++)
        xfree(*at);
    xfree(env);
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

/* ------------------------------------------------------------------ stopping */

static void on_limit(struct timer *timer)
{
    struct app *app = container_of(timer, struct app, limit);
    log_line(LOG_WARN, who, "shutdown_timeout is over: killing what is left");
    pools_kill(&app->pools);
}

static void stop_pools(struct app *app)
{
    if (app->pools.stopping)
        return;
    uint64_t now = loop_now(&app->loop);
    uint64_t left = app->stop_at_ms > now ? app->stop_at_ms - now : 0;
    timer_start(&app->loop, &app->limit, left, on_limit);
    pools_stop(&app->pools, left / 2);
}

static void on_http_limit(struct timer *timer)
{
    struct app *app = container_of(timer, struct app, limit);
    log_line(LOG_WARN, who, "%zu connections are still open: not waiting any longer",
             http_server_connections(app->server));
    stop_pools(app);
}

static void on_http_drained(void *arg)
{
    stop_pools(arg);
}

static void stop(struct app *app)
{
    uint64_t all = app->config->server.shutdown_timeout;
    app->stopping = true;
    app->stop_at_ms = loop_now(&app->loop) + (all > KILL_RESERVE ? all - KILL_RESERVE : 0);
    timer_start(&app->loop, &app->limit, all * HTTP_SHARE / 100, on_http_limit);
    http_server_drain(app->server, on_http_drained, app);
}

static void on_signal(struct app *app, int signum)
{
    if (!app->stopping) {
        log_line(LOG_INFO, who, "shutting down (signal again to stop at once)");
        app->asked_ms = loop_now(&app->loop);
        stop(app);
        return;
    }
    if (loop_now(&app->loop) - app->asked_ms < SAME_SIGNAL_MS)
        return;
    log_line(LOG_WARN, who, "stopping at once");
    app->exit_code = EXIT_KILLED + signum;
    pools_kill(&app->pools);
}

static void on_term(struct sig *sig, int signum)
{
    on_signal(container_of(sig, struct app, term), signum);
}

static void on_interrupt(struct sig *sig, int signum)
{
    on_signal(container_of(sig, struct app, interrupt), signum);
}

static void on_stopped(struct pool_observer *observer)
{
    struct app *app = container_of(observer, struct app, observer);
    timer_stop(&app->loop, &app->limit);
    timer_stop(&app->loop, &app->patience);
    http_server_free(app->server);
    app->server = NULL;
    sig_stop(&app->term);
    sig_stop(&app->interrupt);
    orphans_release(&app->loop);
    sink_detach(&app->err);
    sink_detach(&app->out);
}

/* ------------------------------------------------------------------ observer */

static void on_tell(struct pool_observer *observer, const struct pool *pool,
                    const struct worker *w, enum log_level level, const char *sentence)
{
    (void)observer;
    log_line(level, w ? w->name : pool->config->name, "%s", sentence);
}

static void on_wrote(struct pool_observer *observer, const struct worker *w,
                     enum log_level level, const char *stream, struct slice text)
{
    (void)observer;
    log_text(level, w->name, stream, text);
}

static void on_ready(struct pool_observer *observer, struct pool *pool, struct worker *w)
{
    struct app *app = container_of(observer, struct app, observer);
    (void)pool;
    (void)w;
    routes_rebuild(&app->routes);
}

static void open_port(struct app *app)
{
    struct err err;
    const char *given = app->options->listen;
    app->listening = true;
    if (http_server_listen(app->server, given ? given : app->config->server.listen, &err)) {
        log_line(LOG_ERROR, who, "%s", err.text);
        app->exit_code = 1;
        stop(app);
        return;
    }
    log_line(LOG_INFO, who, "nodey ready on %s", http_server_url(app->server, 0));
}

/* Who does not start is reported, and the others are served. */
static void on_settled(struct pool_observer *observer, struct pool *pool)
{
    struct app *app = container_of(observer, struct app, observer);
    (void)pool;
    if (!app->listening && !app->stopping && pools_settled(&app->pools))
        open_port(app);
}

/* ---------------------------------------------------------------------- start */

static const struct pool_observer observer = {
    .tell = on_tell,
    .wrote = on_wrote,
    .ready = on_ready,
    .settled = on_settled,
    .stopped = on_stopped,
};

/* A body that fits no worker's line is refused before it is read. */
static uint64_t largest_body(const struct config *config)
{
    uint64_t line = 0;
    for (size_t i = 0; i < config->worker_count; i++)
        line = MAX(line, config->workers[i].max_line);
    return MIN(config->server.max_body, line);
}

static void make_server(struct app *app)
{
    const struct server_config *s = &app->config->server;
    app->server =
        http_server_new(&app->loop, &(struct http_options){
                                        .limits =
                                            {
                                                .head_bytes = s->max_head,
                                                .target_bytes = s->max_target,
                                                .header_count = s->max_headers,
                                                .body_bytes = largest_body(app->config),
                                                .header_timeout_ms = s->header_timeout,
                                                .body_timeout_ms = s->body_timeout,
                                                .idle_timeout_ms = s->idle_timeout,
                                                .send_timeout_ms = s->send_timeout,
                                                .connections = s->max_connections,
                                            },
                                        .trusted_proxies = s->trusted_proxies.items,
                                        .handler = &app->gateway.handler,
                                    });
}

static void make_pools(struct app *app)
{
    app->observer = observer;
    pools_init(&app->pools, &app->loop, &app->observer);
    app->pools.env = (const char *const *)app->env;
    app->pools.server = "nodey/" NODEY_VERSION;
    app->pools.dev = app->dev;
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
        if (!pool->settled)
            log_line(LOG_INFO, who,
                     "the port opens when %s is ready, or has not become so in %llu s",
                     pool->config->name,
                     (unsigned long long)pool->config->start_timeout / 1000);
    }
    timer_start(&app->loop, &app->patience, PATIENCE_MS, on_patience);
}

static void start_pools(struct app *app)
{
    timer_start(&app->loop, &app->patience, PATIENCE_MS, on_patience);
    list_each (at, &app->pools.list)
        pool_start(container_of(at, struct pool, node));
}

static void start(struct app *app)
{
    const struct config *config = app->config;
    sink_attach(&app->err, &app->loop);
    sink_attach(&app->out, &app->loop);
    loop_set_spin(&app->loop, config->server.spin);
    orphans_adopt(&app->loop);
    make_pools(app);
    routes_init(&app->routes, config, &app->pools);
    app->access = (struct access){config->server.access_log, &app->out};
    gateway_init(&app->gateway, &app->loop, &app->routes, &app->access);
    make_server(app);
    IGNORE(sig_start(&app->term, &app->loop, SIGTERM, on_term)); /* then it ends at once */
    IGNORE(sig_start(&app->interrupt, &app->loop, SIGINT, on_interrupt));
    start_pools(app);
}

/* What can go wrong before anything runs. */
static int prepare(struct app *app)
{
    struct err err;
    char run[40];
    const char *data_dir = app->config->server.data_dir;
    if (datadir_open(data_dir, &err) || sdk_unpack(&app->sdk, data_dir, &err)) {
        log_line(LOG_ERROR, who, "%s", err.text);
        return 1;
    }
    for (size_t i = 0; i < app->config->notes.count; i++)
        log_line(LOG_INFO, who, "%s", app->config->notes.items[i]);
    sdk_link_modules(&app->sdk, app->config);
    raise_descriptor_limit();
    new_run_id(run, sizeof(run));
    keeper_start(run);
    app->env = build_env(&app->sdk, run);
    int rc = loop_init(&app->loop);
    if (rc)
        log_line(LOG_ERROR, who, "cannot start the event loop: %s", loop_strerror(rc));
    return rc ? 1 : 0;
}

static void release(struct app *app)
{
    gateway_deinit(&app->gateway);
    routes_deinit(&app->routes);
    pools_deinit(&app->pools);
    if (loop_deinit(&app->loop))
        log_line(LOG_DEBUG, who, "a handle was left open");
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
    app->exit_code = prepare(app);
    if (app->exit_code == 0) {
        start(app);
        loop_run(&app->loop);
        release(app);
    }
    int rc = app->exit_code;
    free_env(app->env);
    sdk_deinit(&app->sdk);
    config_release(app->config);
    xfree(app);
    return rc;
}
