#include "child_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static size_t on_out(struct proc *p, struct slice bytes)
{
    struct child *c = container_of(p, struct child, proc);
    assert_int_equal(c->exits, 0);
    if (c->keep)
        return 0;
    buf_add(&c->out, bytes);
    return bytes.len;
}

static size_t on_err(struct proc *p, struct slice bytes)
{
    struct child *c = container_of(p, struct child, proc);
    buf_add(&c->err, bytes);
    return bytes.len;
}

static void on_broken(struct proc *p, const char *which)
{
    struct child *c = container_of(p, struct child, proc);
    snprintf(c->broken, sizeof(c->broken), "%s", which);
}

static void on_drained(struct proc *p)
{
    container_of(p, struct child, proc)->drains++;
}

static void on_exited(struct proc *p, const struct proc_exit *exit)
{
    struct child *c = container_of(p, struct child, proc);
    c->exits++;
    c->exit = *exit;
    c->kept = p->out.in.len;
    proc_close(p);
}

static void on_gone(struct proc *p)
{
    container_of(p, struct child, proc)->gones++;
}

const struct proc_ops child_ops = {on_out, on_err, on_broken, on_drained, on_exited, on_gone};

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct child, tick)->loop);
}

void child_run_for(struct child *c, uint64_t ms)
{
    timer_start(&c->loop, &c->tick, ms, on_tick);
    loop_run(&c->loop);
    timer_stop(&c->loop, &c->tick);
}

const char *const child_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "NODEY_LIFE=77",
                                 "WORD=two words", NULL};

struct child *child_new(void)
{
    struct child *c = xcalloc(1, sizeof(*c));
    assert_int_equal(loop_init(&c->loop), 0);
    return c;
}

int child_spawn(struct child *c, const char *const *argv, const char *cwd)
{
    return proc_spawn(
        &c->proc, &c->loop,
        &(struct proc_spec){
            .argv = argv, .env = child_env, .cwd = cwd, .mark = 77, .line_limit = SIZE_MAX},
        &child_ops);
}

struct child *child_shell(const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct child *c = child_new();
    assert_int_equal(child_spawn(c, argv, "/"), 0);
    return c;
}

void child_free(struct child *c)
{
    orphans_release(&c->loop);
    if (c->proc.pid && !c->exits) {
        proc_signal(&c->proc, SIGKILL);
        child_until(c, c->exits);
    }
    loop_run(&c->loop);
    assert_int_equal(c->gones, 1);
    assert_true(c->exits <= 1);
    assert_int_equal(loop_deinit(&c->loop), 0);
    buf_deinit(&c->out);
    buf_deinit(&c->err);
    xfree(c);
}

bool process_lives(pid_t pid)
{
    char path[64], state = 'X';
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    int read = fscanf(file, "%*d %*s %c", &state);
    fclose(file);
    return read == 1 && state != 'Z' && state != 'X';
}

bool process_dies_within(pid_t pid, int ms)
{
    for (; ms > 0 && process_lives(pid); ms -= 5)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return !process_lives(pid);
}
