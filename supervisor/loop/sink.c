#include "loop/sink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

enum { HELD_MAX = 1 << 20, AGAIN_MS = 20, DETACH_WAIT_MS = 200 };

static bool writable(int fd, int wait_ms)
{
    struct pollfd ask = {.fd = fd, .events = POLLOUT};
    return poll(&ask, 1, wait_ms) > 0 && !(ask.revents & POLLNVAL);
}

/* False when the reader takes no more for now. */
static bool write_some(struct sink *s, int wait_ms)
{
    size_t done = 0;
    bool open = true;
    while (done < s->held.len && (open = writable(s->fd, wait_ms))) {
        ssize_t n = write(s->fd, s->held.ptr + done, MIN(s->held.len - done, (size_t)PIPE_BUF));
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            s->broken = true;
            done = s->held.len;
        } else if (n > 0) {
            done += (size_t)n;
        }
    }
    buf_consume(&s->held, done);
    return open;
}

static void on_again(struct timer *timer);

static void on_flush(struct task *task)
{
    struct sink *s = container_of(task, struct sink, flush);
    if (!write_some(s, 0))
        timer_start(s->loop, &s->again, AGAIN_MS, on_again);
}

static void on_again(struct timer *timer)
{
    on_flush(&container_of(timer, struct sink, again)->flush);
}

void sink_init(struct sink *s, int fd)
{
    *s = (struct sink){.fd = fd};
    task_init(&s->flush, on_flush);
}

void sink_attach(struct sink *s, struct loop *loop)
{
    s->loop = loop;
}

void sink_detach(struct sink *s)
{
    if (s->loop) {
        task_cancel(&s->flush);
        timer_stop(s->loop, &s->again);
    }
    s->loop = NULL;
    write_some(s, DETACH_WAIT_MS);
    buf_deinit(&s->held);
}

void sink_write(struct sink *s, struct slice line)
{
    if (s->broken)
        return;
    if (s->held.len + line.len > HELD_MAX) {
        s->dropped++;
        return;
    }
    if (s->dropped) {
        buf_addf(&s->held, "... %llu lines dropped: the log was not read fast enough\n",
                 (unsigned long long)s->dropped);
        s->dropped = 0;
    }
    buf_add(&s->held, line);
    if (!s->loop)
        write_some(s, DETACH_WAIT_MS);
    else if (!timer_runs(&s->again))
        loop_defer(s->loop, &s->flush);
}
