#include "app/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "pool/pool.h"

enum { MESSAGE_MAX = 512 };

static void send_words(const struct notify *n, const char *words)
{
    if (n->fd >= 0)
        IGNORE(sendto(n->fd, words, strlen(words), MSG_NOSIGNAL | MSG_DONTWAIT,
                      (const struct sockaddr *)&n->to, n->to_len) < 0);
}

/* "/run/..." or "@name", a name outside of the file system. */
static bool read_address(struct notify *n, const char *path)
{
    size_t len = strlen(path);
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
        return false;
    memcpy(n->to.sun_path, path, len);
    if (path[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
    return true;
}

/* Half of what the manager waits for; 0: it does not watch, or not this process. */
static uint64_t read_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us, number;
    if (!usec || !slice_to_u64(slice_of(usec), UINT64_C(1) << 53, &us))
        return 0;
    if (pid &&
        (!slice_to_u64(slice_of(pid), INT32_MAX, &number) || number != (uint64_t)getpid()))
        return 0;
    return us ? MAX(us / 2000, 1) : 0;
}

void notify_init(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *n = (struct notify){.fd = -1};
    if (path && read_address(n, path))
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd >= 0)
        n->beat_ms = read_watchdog();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void on_beat(struct timer *timer)
{
    struct notify *n = container_of(timer, struct notify, beat);
    send_words(n, "WATCHDOG=1");
    timer_start(n->loop, timer, n->beat_ms, on_beat);
}

void notify_start(struct notify *n, struct loop *loop)
{
    n->loop = loop;
    if (n->beat_ms)
        on_beat(&n->beat);
}

void notify_ready(struct notify *n)
{
    char words[MESSAGE_MAX];
    n->opened = true;
    snprintf(words, sizeof(words), "READY=1\nMAINPID=%ld", (long)getpid());
    send_words(n, words);
}

void notify_reloading(struct notify *n)
{
    char words[MESSAGE_MAX];
    struct timespec now;
    if (n->fd < 0 || !n->opened || n->stopping)
        return;
    IGNORE(clock_gettime(CLOCK_MONOTONIC, &now)); /* it is always there */
    snprintf(words, sizeof(words), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_words(n, words);
}

void notify_reloaded(struct notify *n)
{
    if (n->opened && !n->stopping)
        send_words(n, "READY=1");
}

void notify_status(struct notify *n, const char *fmt, ...)
{
    char status[sizeof(n->status)], words[MESSAGE_MAX];
    va_list args;
    if (n->fd < 0)
        return;
    va_start(args, fmt);
    vsnprintf(status, sizeof(status), fmt, args);
    va_end(args);
    if (strcmp(status, n->status) == 0)
        return;
    memcpy(n->status, status, sizeof(status));
    snprintf(words, sizeof(words), "STATUS=%s", status);
    send_words(n, words);
}

static bool is_well(const struct pool *pool)
{
    return !list_empty(&pool->states[WORKER_READY]) || !list_empty(&pool->states[WORKER_BUSY]);
}

static void add_count(struct buf *out, size_t count, const char *what)
{
    if (count)
        buf_addf(out, ", %zu %s", count, what);
}

void notify_programs(struct notify *n, const struct pools *pools, const char *url)
{
    size_t ready = 0, failing = 0, starting = 0, resting = 0;
    struct buf text = {0};
    if (n->fd < 0 || n->stopping)
        return;
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        bool well = is_well(pool), rests = pool->rest != POOL_RUNS;
        ready += well;
        resting += !well && rests;
        failing += !well && !rests && pool->settled;
        starting += !well && !rests && !pool->settled;
    }
    buf_adds(&text, url ? "serving " : "starting");
    buf_adds(&text, url ? url : "");
    add_count(&text, ready, "ready");
    add_count(&text, starting, "starting");
    add_count(&text, failing, "failing");
    add_count(&text, resting, "at rest");
    notify_status(n, "%s", buf_cstr(&text));
    buf_deinit(&text);
}

void notify_stopping(struct notify *n)
{
    if (n->stopping)
        return;
    n->stopping = true;
    send_words(n, "STOPPING=1");
    notify_status(n, "shutting down");
}

void notify_deinit(struct notify *n)
{
    if (n->loop)
        timer_stop(n->loop, &n->beat);
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}
