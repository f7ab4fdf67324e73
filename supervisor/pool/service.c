#include "pool/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/holder.h"
#include "pool/pool.h"

enum {
    PORT_TRIES = 64,      /* until one is found that was not given out lately */
    PROOF_MS = 1000,      /* without a check: so long it must run to be ready */
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

/* Does anybody listen there, as somebody who is about to would find out? */
static bool is_taken(const struct sockaddr *at, socklen_t len)
{
    int on = 1;
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    bool taken = bind(fd, at, len) < 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

bool service_port_is_taken(const struct worker *w, char *why, size_t size)
{
    char holder[128];
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)w->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = v4.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (!w->port || w->pool->config->port == PORT_AUTO ||
        (!is_taken((const struct sockaddr *)&v4, sizeof(v4)) &&
         !is_taken((const struct sockaddr *)&v6, sizeof(v6))))
        return false;
    bool found = holder_find((unsigned)w->port, holder, sizeof(holder));
    snprintf(why, size, "port %u is in use, by %s: end that, or give %s another port",
             (unsigned)w->port, found ? holder : "a program of another user",
             w->pool->config->name);
    return true;
}

/* --------------------------------------------------------------------- checks */

static bool is_configured(const struct healthcheck_config *check)
{
    return !check->disabled && (check->test.count || check->path || check->tcp);
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

static void on_proven(struct timer *timer)
{
    worker_became_ready(container_of(timer, struct worker, ping));
}

void service_started(struct worker *w)
{
    if (!w->pool->pools->prober) {
        worker_became_ready(w);
        return;
    }
    if (!worker_config_is_checked(w->pool->config)) {
        timer_stop(loop_of(w),
                   &w->timer); /* it only has to live, whatever its start may take */
        startgate_leave(w);
        timer_start(loop_of(w), &w->ping, PROOF_MS, on_proven);
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

/* "listens on 5173, not on its port 3001: ..."; false: it is not that. */
static bool describe_wrong_port(const struct worker *w, char *text, size_t size)
{
    unsigned ports[4];
    char list[64] = "";
    size_t count = w->port ? holder_ports(w->proc.pid, ports, ARRAY_LEN(ports)) : 0;
    for (size_t i = 0, len = 0; i < count; i++) {
        if (ports[i] == w->port)
            return false;
        len +=
            (size_t)snprintf(list + len, sizeof(list) - len, "%s%u", i ? ", " : "", ports[i]);
    }
    if (count)
        snprintf(text, size,
                 "it listens on %s, not on its port %u: let it take the port from the variable "
                 "PORT, or say port = %u",
                 list, (unsigned)w->port, ports[0]);
    return count > 0;
}

void service_why_unwell(const struct worker *w, char *why, size_t size)
{
    if (!describe_wrong_port(w, why, size))
        snprintf(why, size, "%s", w->unwell);
}

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
    char why[320], reason[256];
    service_why_unwell(w, reason, sizeof(reason));
    snprintf(why, sizeof(why), "it is unhealthy: %s", reason);
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
