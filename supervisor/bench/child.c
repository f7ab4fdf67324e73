#include "bench/child.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    TAIL_BYTES = 360, /* as much as fits into a sentence */
    LINE_BYTES = 4096,
    GRACE_MS = 5000, /* from SIGTERM to SIGKILL */
};

/* ------------------------------------------------------------------ its life */

static struct bench_child *child_of(struct proc *p)
{
    return container_of(p, struct bench_child, proc);
}

/* Keeps the line, and sees whether it is the one that is waited for. */
static void read_line(struct bench_child *child, struct slice line)
{
    if (child->tail.len > TAIL_BYTES)
        buf_consume(&child->tail, child->tail.len - TAIL_BYTES);
    buf_add(&child->tail, line);
    buf_addc(&child->tail, '\n');
    size_t len = strlen(child->ready);
    const char *at = line.len ? memmem(line.ptr, line.len, child->ready, len) : NULL;
    if (!at || child->said[0])
        return;
    struct slice rest = slice_from(line, (size_t)(at - line.ptr) + len);
    size_t end = 0;
    while (end < rest.len && (unsigned char)rest.ptr[end] > ' ')
        end++;
    snprintf(child->said, sizeof(child->said), "%.*s", (int)end, rest.ptr);
    loop_stop(child->loop);
}

static size_t on_output(struct proc *p, struct slice bytes)
{
    struct bench_child *child = child_of(p);
    size_t used = 0;
    for (const char *lf;; used += (size_t)(lf - (bytes.ptr + used)) + 1) {
        struct slice rest = slice_from(bytes, used);
        lf = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
        if (!lf)
            return rest.len < LINE_BYTES ? used : bytes.len; /* nothing readable is that long */
        read_line(child, (struct slice){rest.ptr, (size_t)(lf - rest.ptr)});
    }
}

static void on_broken(struct proc *p, const char *which)
{
    (void)p, (void)which; /* it may close its output */
}

static void on_exited(struct proc *p, const struct proc_exit *end)
{
    struct bench_child *child = child_of(p);
    (void)end;
    child->exited = true;
    loop_stop(child->loop);
}

static void on_gone(struct proc *p)
{
    struct bench_child *child = child_of(p);
    child->gone = true;
    loop_stop(child->loop);
}

static const struct proc_ops ops = {
    .out = on_output,
    .err = on_output,
    .broken = on_broken,
    .exited = on_exited,
    .gone = on_gone,
};

/* -------------------------------------------------------------- start, stop */

static void on_late(struct timer *timer)
{
    struct bench_child *child = container_of(timer, struct bench_child, limit);
    child->late = true;
    loop_stop(child->loop);
}

static void on_grace_over(struct timer *timer)
{
    proc_signal(&container_of(timer, struct bench_child, limit)->proc, SIGKILL);
}

static int wait_ready(struct bench_child *child, const struct bench_child_spec *spec,
                      struct err *err)
{
    timer_start(child->loop, &child->limit, spec->timeout_ms, on_late);
    while (!child->said[0] && !child->exited && !child->late && !*spec->stop)
        loop_run(child->loop);
    timer_stop(child->loop, &child->limit);
    if (child->said[0])
        return 0;
    if (*spec->stop)
        return err_set(err, UV_ECANCELED, "stopped");
    const char *happened = child->exited ? "ended before it was ready" : "did not become ready";
    return err_set(err, child->exited ? -1 : UV_ETIMEDOUT, "%s %s%s%.*s", spec->what, happened,
                   child->tail.len ? "; its last words:\n" : "", (int)child->tail.len,
                   child->tail.ptr ? child->tail.ptr : "");
}

int bench_child_start(struct bench_child *child, struct loop *loop,
                      const struct bench_child_spec *spec, struct err *err)
{
    *child = (struct bench_child){.loop = loop, .ready = spec->ready, .started = true};
    int rc = proc_spawn(&child->proc, loop,
                        &(struct proc_spec){
                            .argv = spec->argv,
                            .env = (const char *const *)environ,
                            .cwd = spec->cwd,
                            .line_limit = LINE_BYTES,
                        },
                        &ops);
    child->exited = rc != 0;
    rc = rc ? err_set(err, rc, "cannot start %s: %s", spec->what, loop_strerror(rc))
            : wait_ready(child, spec, err);
    if (rc)
        bench_child_stop(child);
    return rc;
}

void bench_child_stop(struct bench_child *child)
{
    if (!child->started)
        return;
    child->started = false;
    if (!child->exited) {
        proc_signal(&child->proc, SIGTERM);
        timer_start(child->loop, &child->limit, GRACE_MS, on_grace_over);
    }
    while (!child->exited)
        loop_run(child->loop);
    timer_stop(child->loop, &child->limit);
    proc_close(&child->proc);
    while (!child->gone)
        loop_run(child->loop);
    buf_deinit(&child->tail);
}

/* The link itself would do, but says nothing to who looks at the processes. */
void bench_child_self(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size);
    if (len > 0 && (size_t)len < size)
        path[len] = '\0';
    else
        snprintf(path, size, "/proc/self/exe");
}
