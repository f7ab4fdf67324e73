#include "loop/orphans.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/proc.h"

enum { SWEEP_AGAIN_MS = 20, ENVIRON_MAX = 65536 };

struct orphans {
    struct loop *loop;
    uv_signal_t child_ended;
    struct task reap;
    struct timer again;
};

/* -------------------------------------------------------------------- whose */

static bool is_child(const struct loop *loop, pid_t pid)
{
    list_each (at, &loop->procs)
        if (container_of(at, struct proc, node)->pid == pid)
            return true;
    return false;
}

static size_t read_environ(pid_t pid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, size);
    close(fd);
    return len > 0 ? (size_t)len : 0;
}

static bool has_entry(struct slice environ_text, const char *entry)
{
    size_t len = strlen(entry) + 1; /* with its NUL: entries end with one */
    const char *at = environ_text.ptr;
    const char *end = at + environ_text.len;
    while ((at = memmem(at, (size_t)(end - at), entry, len))) {
        if (at == environ_text.ptr || at[-1] == '\0')
            return true;
        at++;
    }
    return false;
}

/*
 * Orphaned by a step on the way it may be, while the child it descends from lives.  Not
 * known: it becomes another program just now, and its environment is not in place.
 */
enum kin { KIN_LIVING, KIN_NOBODY, KIN_NOT_KNOWN };

static enum kin kin_of(const struct loop *loop, pid_t pid)
{
    char *text = xmalloc(ENVIRON_MAX);
    size_t len = read_environ(pid, text, ENVIRON_MAX);
    bool found = false;
    list_each (at, &loop->procs) {
        char entry[40];
        const struct proc *p = container_of(at, struct proc, node);
        snprintf(entry, sizeof(entry), "NODEY_LIFE=%llu", (unsigned long long)p->mark);
        found |= getpgid(pid) == p->pid || has_entry((struct slice){text, len}, entry);
    }
    xfree(text);
    return found ? KIN_LIVING : len ? KIN_NOBODY : KIN_NOT_KNOWN;
}

/* -------------------------------------------------------------------- sweep */

/*
 * True when there is reason to look again.  Its pid is safe to signal: a child of ours
 * keeps it until we reap it.
 */
static bool end_orphan(struct loop *loop, pid_t pid, bool again)
{
    enum kin kin = is_child(loop, pid) ? KIN_LIVING : kin_of(loop, pid);
    if (kin == KIN_LIVING)
        return false;
    if (kin == KIN_NOT_KNOWN && !again)
        return true;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, WNOHANG);
    return true;
}

static void on_again(struct timer *timer);

static void sweep(struct loop *loop, bool again)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
    FILE *children = fopen(path, "re");
    if (!children)
        return;
    bool found = false;
    long pid;
    while (fscanf(children, "%ld", &pid) == 1)
        found |= end_orphan(loop, (pid_t)pid, again);
    fclose(children);
    if (found) /* their own children are orphans now */
        timer_start(loop, &loop->orphans->again, SWEEP_AGAIN_MS, on_again);
}

static void on_again(struct timer *timer)
{
    sweep(container_of(timer, struct orphans, again)->loop, true);
}

void orphans_sweep(struct loop *loop)
{
    if (loop->orphans)
        sweep(loop, false);
}

/* --------------------------------------------------------------------- reap */

/* libuv reaps the children it started; the rest is ours.  Runs after it has. */
static void on_reap(struct task *task)
{
    struct orphans *o = container_of(task, struct orphans, reap);
    siginfo_t ended = {0};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid &&
           !is_child(o->loop, ended.si_pid)) {
        waitpid(ended.si_pid, NULL, WNOHANG);
        ended = (siginfo_t){0};
    }
}

static void on_child_ended(uv_signal_t *handle, int signum)
{
    struct orphans *o = container_of(handle, struct orphans, child_ended);
    (void)signum;
    loop_defer(o->loop, &o->reap);
}

void orphans_adopt(struct loop *loop)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        return;
    struct orphans *o = xcalloc(1, sizeof(*o));
    o->loop = loop;
    task_init(&o->reap, on_reap);
    uv_signal_init(&loop->uv, &o->child_ended);
    uv_unref((uv_handle_t *)&o->child_ended);
    IGNORE(uv_signal_start(&o->child_ended, on_child_ended, SIGCHLD)); /* then zombies stay */
    loop->orphans = o;
}

static void on_closed(uv_handle_t *handle)
{
    xfree(container_of(handle, struct orphans, child_ended));
}

void orphans_release(struct loop *loop)
{
    struct orphans *o = loop->orphans;
    if (!o)
        return;
    loop->orphans = NULL;
    task_cancel(&o->reap);
    timer_stop(loop, &o->again);
    uv_close((uv_handle_t *)&o->child_ended, on_closed);
}
