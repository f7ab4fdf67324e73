#include "loop/proc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "loop/orphans.h"
#include "loop/shim.h"

enum {
    PIPE_BYTES = 256 * 1024,
    DRAIN_LOOK_MS = 10, /* between two looks whether the pipes are empty */
    DRAIN_LIMIT_MS = 1000,
    BROKEN_MS = 20, /* a pipe ended and the child has not: that much later it is told */
};

/* ------------------------------------------------------------------- ending */

static int unread(const struct stream *s)
{
    int fd, n = 0;
    if (uv_fileno(&s->uv.handle, &fd) || ioctl(fd, FIONREAD, &n))
        return 0;
    return n;
}

static void on_finish(struct task *task)
{
    struct proc *p = container_of(task, struct proc, finish);
    if (p->finished)
        return;
    p->finished = true;
    timer_stop(p->loop, &p->drain);
    p->ops->exited(p, &p->exit);
}

static void finish_if_done(struct proc *p)
{
    if (p->reaped && p->out_ended && p->err_ended)
        loop_defer(p->loop, &p->finish);
}

/*
 * The child wrote all it will ever write before it died, so pipes that are empty
 * now are done, even when a grandchild still holds their other end.
 */
static void look_at_pipes(struct timer *timer)
{
    struct proc *p = container_of(timer, struct proc, drain);
    bool empty = unread(&p->out) == 0 && unread(&p->err) == 0;
    if (empty || loop_now(p->loop) >= p->drain_until)
        loop_defer(p->loop, &p->finish);
    else
        timer_start(p->loop, &p->drain, DRAIN_LOOK_MS, look_at_pipes);
}

static void on_child_exit(uv_process_t *handle, int64_t status, int signal)
{
    struct proc *p = container_of(handle, struct proc, process);
    p->reaped = true;
    p->exit = (struct proc_exit){.code = status, .signal = signal};
    list_del(&p->node);
    life_close((uv_handle_t *)&p->process);
    orphans_sweep(p->loop);
    finish_if_done(p);
    p->drain_until = loop_now(p->loop) + DRAIN_LIMIT_MS;
    timer_start(p->loop, &p->drain, DRAIN_LOOK_MS, look_at_pipes);
}

/* -------------------------------------------------------------------- pipes */

static size_t on_out(struct stream *s, struct slice bytes)
{
    struct proc *p = container_of(s, struct proc, out);
    return p->ops->out(p, bytes);
}

static size_t on_err(struct stream *s, struct slice bytes)
{
    struct proc *p = container_of(s, struct proc, err);
    return p->ops->err(p, bytes);
}

static size_t on_in(struct stream *s, struct slice bytes)
{
    (void)s;
    return bytes.len; /* it is never read */
}

static void on_still_lives(struct timer *timer)
{
    struct proc *p = container_of(timer, struct proc, drain);
    p->ops->broken(p, p->broken);
}

/* The pipes of a child that ends are closed a moment before its exit is known. */
static void pipe_broke(struct proc *p, const char *which)
{
    if (p->reaped || timer_runs(&p->drain))
        return;
    p->broken = which;
    timer_start(p->loop, &p->drain, BROKEN_MS, on_still_lives);
}

static void on_out_ended(struct stream *s, int status)
{
    struct proc *p = container_of(s, struct proc, out);
    (void)status;
    p->out_ended = true;
    finish_if_done(p);
    pipe_broke(p, "output");
}

static void on_err_ended(struct stream *s, int status)
{
    struct proc *p = container_of(s, struct proc, err);
    (void)status; /* closing one's error output is allowed */
    p->err_ended = true;
    finish_if_done(p);
}

static void on_in_ended(struct stream *s, int status)
{
    (void)status;
    pipe_broke(container_of(s, struct proc, in), "input");
}

static void on_in_drained(struct stream *s)
{
    struct proc *p = container_of(s, struct proc, in);
    if (p->ops->drained && !p->reaped)
        p->ops->drained(p);
}

static void on_in_gone(struct stream *s)
{
    life_drop(&container_of(s, struct proc, in)->life);
}

static void on_out_gone(struct stream *s)
{
    life_drop(&container_of(s, struct proc, out)->life);
}

static void on_err_gone(struct stream *s)
{
    life_drop(&container_of(s, struct proc, err)->life);
}

static const struct stream_ops in_ops = {
    .data = on_in,
    .ended = on_in_ended,
    .drained = on_in_drained,
    .gone = on_in_gone,
};
static const struct stream_ops out_ops = {
    .data = on_out,
    .ended = on_out_ended,
    .gone = on_out_gone,
};
static const struct stream_ops err_ops = {
    .data = on_err,
    .ended = on_err_ended,
    .gone = on_err_gone,
};

/*
 * Plain pipes, and only our end non-blocking: O_NONBLOCK belongs to the open file,
 * and a child that finds its end non-blocking loses output.
 */
static int open_pipe(struct proc *p, struct stream *s, const struct stream_ops *ops,
                     bool we_write, int *child_end)
{
    int ends[2];
    int rc = pipe2(ends, O_CLOEXEC) ? -errno : 0;
    int ours = we_write ? 1 : 0;
    if (rc == 0) {
        IGNORE(fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES) < 0); /* then it holds less */
        *child_end = ends[1 - ours];
    }
    life_hold(&p->life);
    int opened = stream_open_pipe(s, p->loop, rc == 0 ? ends[ours] : -1, ops);
    if (opened && rc == 0)
        close(ends[ours]);
    return rc ? rc : opened;
}

static int open_null(int *child_end)
{
    *child_end = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return *child_end < 0 ? -errno : 0;
}

static int open_pipes(struct proc *p, int child[3])
{
    int rc =
        p->no_input ? open_null(&child[0]) : open_pipe(p, &p->in, &in_ops, true, &child[0]);
    int rc_out = open_pipe(p, &p->out, &out_ops, false, &child[1]);
    int rc_err = open_pipe(p, &p->err, &err_ops, false, &child[2]);
    return rc ? rc : rc_out ? rc_out : rc_err;
}

/* -------------------------------------------------------------------- spawn */

static int start_child(struct proc *p, const struct proc_spec *spec, const int child[3])
{
    char **argv = shim_command(getpid(), &spec->confine, spec->cwd, spec->argv);
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++)
        stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = child[i]};
    uv_process_options_t options = {
        .exit_cb = on_child_exit,
        .file = "/proc/self/exe",
        .args = argv,
        .env = (char **)spec->env,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(&p->loop->uv, &p->process, &options);
    life_adopt(&p->life, (uv_handle_t *)&p->process); /* registered even when it failed */
    shim_command_free(argv);
    return rc;
}

static void on_proc_gone(struct life *life)
{
    struct proc *p = container_of(life, struct proc, life);
    p->ops->gone(p);
}

int proc_spawn(struct proc *p, struct loop *loop, const struct proc_spec *spec,
               const struct proc_ops *ops)
{
    memset(p, 0, sizeof(*p));
    p->loop = loop;
    p->ops = ops;
    p->no_input = spec->no_input;
    list_init(&p->node);
    task_init(&p->finish, on_finish);
    life_init(&p->life, on_proc_gone);
    int child[3] = {-1, -1, -1};
    int rc = open_pipes(p, child);
    if (rc == 0) {
        rc = start_child(p, spec, child);
        if (rc)
            life_close((uv_handle_t *)&p->process);
    }
    for (int i = 0; i < 3; i++)
        if (child[i] >= 0)
            close(child[i]);
    if (rc) {
        p->reaped = p->finished = true;
        proc_close(p);
        return rc;
    }
    p->pid = p->process.pid;
    p->mark = spec->mark;
    list_add(&loop->procs, &p->node);
    stream_start(&p->out, spec->line_limit);
    stream_start(&p->err, spec->line_limit);
    return 0;
}

void proc_end_input(struct proc *p)
{
    if (!p->closed && !p->no_input)
        stream_shutdown(&p->in);
}

void proc_signal(struct proc *p, int signal)
{
    if (p->reaped)
        return;
    if (kill(-p->pid, signal) && errno == ESRCH) /* it has not made its group yet */
        kill(p->pid, signal);
}

void proc_close(struct proc *p)
{
    if (p->closed)
        return;
    assert(p->finished);
    p->closed = true;
    timer_stop(p->loop, &p->drain);
    task_cancel(&p->finish);
    if (!p->no_input)
        stream_close(&p->in);
    stream_close(&p->out);
    stream_close(&p->err);
    life_drop(&p->life);
}
