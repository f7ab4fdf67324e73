#include "pool/service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/pool.h"

enum {
    PORT_TRIES = 64,      /* until one is found that was not given out lately */
    FIRST_CHECK_MS = 20,  /* after the start; the pauses double up to start_interval */
    NEXT_CHECK_MIN = 100, /* whatever is configured */
};

static struct loop *loop_of(const struct worker *w)
{
    return w->pool->pools->loop;
}

static const struct healthcheck_config *check_of(const struct worker *w)
{
    return &w->pool->config->healthcheck;
}

/* ---------------------------------------------------------------------- ports */

/* One that nobody listens on; 0 when there is none. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    bool found = bind(fd, (struct sockaddr *)&at, len) == 0 &&
                 getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    close(fd);
    return found ? ntohs(at.sin_port) : 0;
}

/* A process that has been given it may not listen yet, or may just have ended. */
static bool was_given(const struct pools *pools, uint16_t port)
{
    for (size_t i = 0; i < ARRAY_LEN(pools->ports); i++)
        if (pools->ports[i] == port)
            return true;
    return false;
}

static uint16_t give_port(struct pools *pools)
{
    uint16_t port = 0;
    for (int i = 0; i < PORT_TRIES && (!port || was_given(pools, port)); i++)
        port = free_port();
    pools->ports[pools->ports_given++ % ARRAY_LEN(pools->ports)] = port;
    return port;
}

uint64_t service_port(const struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    return config->port == PORT_AUTO ? give_port(w->pool->pools) : config->port;
}

/* --------------------------------------------------------------------- checks */

static bool is_configured(const struct healthcheck_config *check)
{
    return !check->disabled && (check->test.count || check->path || check->tcp);
}

/* Whether anything tells that it is well, beyond that it runs. */
static bool has_check(const struct worker_config *config)
{
    const struct healthcheck_config *check = &config->healthcheck;
    return is_configured(check) || (!check->disabled && config->port);
}

bool service_is_unproven(const struct worker_config *config)
{
    return config->is_service && !has_check(config);
}

uint64_t service_start_limit(const struct worker_config *config)
{
    return MAX(config->start_timeout, config->healthcheck.start_period);
}

static void on_probed(struct worker *w, bool well, const char *why);

static void on_check(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, ping);
    struct prober *prober = w->pool->pools->prober;
    w->probe = prober->start(prober, w, on_probed);
}

static void check_in(struct worker *w, uint64_t pause_ms)
{
    timer_start(loop_of(w), &w->ping, pause_ms, on_check);
}

/* Soon after the start it is looked at often, because somebody waits for it. */
static void check_start_again(struct worker *w)
{
    uint64_t most = MAX(check_of(w)->start_interval, (uint64_t)NEXT_CHECK_MIN);
    w->check_pause = MIN(w->check_pause * 2, most);
    check_in(w, w->check_pause);
}

void service_started(struct worker *w)
{
    if (!w->pool->pools->prober || !has_check(w->pool->config)) {
        worker_became_ready(w);
        return;
    }
    w->check_pause = FIRST_CHECK_MS;
    check_in(w, w->check_pause);
}

void service_watch(struct worker *w)
{
    w->failures = 0;
    if (w->pool->pools->prober && is_configured(check_of(w)))
        check_in(w, MAX(check_of(w)->interval, (uint64_t)NEXT_CHECK_MIN));
}

void service_stop(struct worker *w)
{
    struct prober *prober = w->pool->pools->prober;
    if (w->probe)
        prober->cancel(prober, w->probe);
    w->probe = NULL;
}

/* -------------------------------------------------------------------- verdicts */

static void well_again(struct worker *w)
{
    if (w->state != WORKER_UNHEALTHY)
        return;
    worker_set_state(w, WORKER_READY);
    pool_tell(w->pool, w, LOG_INFO, "healthy again");
    pool_changed(w->pool);
}

/* With restart = "no" nothing would follow: it stays, without requests. */
static void replace(struct worker *w)
{
    struct pool *pool = w->pool;
    const struct instance *instance = &pool->instances[w->instance];
    char why[256];
    snprintf(why, sizeof(why), "it is unhealthy: %s", w->unwell);
    if (pool->config->restart.when == RESTART_NO || instance->next)
        return;
    w->end = END_FROZEN;
    if (!pool_overlaps(pool)) {
        worker_give_up(w, why);
        return;
    }
    snprintf(w->cause, sizeof(w->cause), "%s", why);
    pool_replace_later(w, why);
    pool->restarts += instance->next != NULL;
}

static void unwell(struct worker *w)
{
    uint64_t most = MAX(check_of(w)->retries, (uint64_t)1);
    if (++w->failures < most)
        return;
    if (w->state == WORKER_READY || w->state == WORKER_BUSY) {
        worker_set_state(w, WORKER_UNHEALTHY);
        pool_tell(w->pool, w, LOG_WARN, "unhealthy: %s (%u check%s in a row failed)", w->unwell,
                  w->failures, w->failures == 1 ? "" : "s");
    }
    replace(w);
}

static void on_probed(struct worker *w, bool well, const char *why)
{
    w->probe = NULL;
    snprintf(w->unwell, sizeof(w->unwell), "%s", well ? "" : why);
    if (w->ending || w->state == WORKER_DRAINING || w->standby)
        return;
    if (w->state == WORKER_STARTING) {
        if (well)
            worker_became_ready(w);
        else
            check_start_again(w);
        return;
    }
    /* Before the verdict, which may end it, and the checks with it. */
    check_in(w, MAX(check_of(w)->interval, (uint64_t)NEXT_CHECK_MIN));
    if (well) {
        w->failures = 0;
        well_again(w);
    } else {
        unwell(w);
    }
}
