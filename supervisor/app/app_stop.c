#include <signal.h>

#include "app/app_parts.h"
#include "loop/orphans.h"

enum {
    HTTP_SHARE = 60,      /* per cent of shutdown_timeout for the requests under way */
    SAME_SIGNAL_MS = 200, /* a wrapper may pass on what the terminal sent to us as well */
    HTTP_CHECK_MS = 100,  /* between two looks at them */
    KILL_RESERVE = 500,   /* ms of it kept for the end of what had to be killed */
};

static void on_limit(struct timer *timer)
{
    struct app *app = container_of(timer, struct app, limit);
    log_line(LOG_WARN, APP_WHO, "shutdown_timeout is over: killing what is left");
    pools_kill(&app->pools);
}

static void stop_pools(struct app *app)
{
    if (app->pools.stopping)
        return;
    uint64_t now = loop_now(&app->loop);
    uint64_t left = app->stop_at_ms > now ? app->stop_at_ms - now : 0;
    timer_start(&app->loop, &app->limit, left, on_limit);
    proxy_let_go(&app->gateway.proxy);
    pools_stop(&app->pools, left / 2);
}

/* Event streams and tunnels end when their workers are told to: waiting for them is no use. */
static void on_http_check(struct timer *timer)
{
    struct app *app = container_of(timer, struct app, limit);
    size_t ending = http_server_ending(app->server);
    if (ending && loop_now(&app->loop) < app->push_at_ms) {
        timer_start(&app->loop, timer, HTTP_CHECK_MS, on_http_check);
        return;
    }
    if (ending)
        log_line(LOG_WARN, APP_WHO, "%zu connections are still open: not waiting any longer",
                 ending);
    stop_pools(app);
}

static void on_http_drained(void *arg)
{
    stop_pools(arg);
}

void app_stop(struct app *app, uint64_t limit_ms)
{
    notify_stopping(&app->notify);
    reload_stop(&app->reload);
    uint64_t all = limit_ms ? limit_ms : app->config->server.shutdown_timeout;
    app->stopping = true;
    app->stop_at_ms = loop_now(&app->loop) + (all > KILL_RESERVE ? all - KILL_RESERVE : 0);
    app->push_at_ms = loop_now(&app->loop) + all * HTTP_SHARE / 100;
    websockets_drain(&app->gateway.sockets);
    follow_close(&app->busdoor.follow);
    http_server_drain(app->server, on_http_drained, app);
    timer_start(&app->loop, &app->limit, HTTP_CHECK_MS, on_http_check);
}

static void on_signal(struct app *app, int signum)
{
    if (!app->stopping) {
        if (!app->options->private_socket)
            log_line(LOG_INFO, APP_WHO, "shutting down (signal again to stop at once)");
        app->asked_ms = loop_now(&app->loop);
        app_stop(app, 0);
        return;
    }
    if (loop_now(&app->loop) - app->asked_ms < SAME_SIGNAL_MS)
        return;
    log_line(LOG_WARN, APP_WHO, "stopping at once");
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

void app_obey_signals(struct app *app)
{
    IGNORE(sig_start(&app->term, &app->loop, SIGTERM, on_term)); /* then it ends at once */
    IGNORE(sig_start(&app->interrupt, &app->loop, SIGINT, on_interrupt));
}

void app_end(struct app *app)
{
    timer_stop(&app->loop, &app->limit);
    timer_stop(&app->loop, &app->patience);
    http_server_free(app->server);
    proxy_close(&app->gateway.proxy);
    app->server = NULL;
    control_close(&app->control);
    notify_deinit(&app->notify);
    sig_stop(&app->term);
    sig_stop(&app->interrupt);
    reload_end(&app->reload);
    flowgraph_close(&app->flowgraph);
    story_close(&app->story);
    events_close(&app->events);
    orphans_release(&app->loop);
    logbook_close(&app->logbook);
    sink_detach(&app->err); /* the loop ends when nothing is left in it */
    sink_detach(&app->out);
}
