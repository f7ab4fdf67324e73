#include "loop/alarm.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { NS = 1000000000 };

static void on_gone(struct life *life)
{
    struct alarm *a = container_of(life, struct alarm, life);
    close(a->fd);
    a->gone(a);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct alarm *a = container_of(handle, struct alarm, handle);
    uint64_t times;
    (void)status, (void)events;
    if (read(a->fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
        a->fire(a); /* else it has been set anew in this very turn */
}

int alarm_open(struct alarm *a, struct loop *loop, void (*fire)(struct alarm *),
               void (*gone)(struct alarm *))
{
    memset(a, 0, sizeof(*a));
    a->fire = fire;
    a->gone = gone;
    /* libuv's clock is the same one. */
    a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (a->fd < 0)
        return -errno;
    int rc = uv_poll_init(&loop->uv, &a->handle, a->fd);
    if (rc) {
        close(a->fd);
        return rc;
    }
    life_init(&a->life, on_gone);
    life_adopt(&a->life, (uv_handle_t *)&a->handle);
    IGNORE(uv_poll_start(&a->handle, UV_READABLE, on_readable)); /* not closing: cannot fail */
    return 0;
}

void alarm_set(struct alarm *a, uint64_t at_ns)
{
    uint64_t at = at_ns ? at_ns : 1; /* 0 would turn it off */
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / NS), .tv_nsec = (long)(at % NS)}};
    IGNORE(timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL)); /* valid: cannot fail */
}

void alarm_close(struct alarm *a)
{
    life_close((uv_handle_t *)&a->handle);
    life_drop(&a->life);
}
