#include "loop/loop.h"

#include <assert.h>

#include "loop/stream.h"

static void run_tasks(struct loop *loop)
{
    while (!list_empty(&loop->tasks)) {
        struct task *task = list_first(&loop->tasks, struct task, node);
        list_del(&task->node);
        task->run(task);
    }
}

static void on_spin(uv_idle_t *handle)
{
    (void)handle; /* its being active is what makes the poll not sleep */
}

/* Those that were written to so far: who writes because of it waits for the next turn. */
static void flush_streams(struct loop *loop)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &loop->dirty);
    while (!list_empty(&now)) {
        struct stream *s = list_first(&now, struct stream, dirty);
        list_del(&s->dirty);
        stream_flush(s);
    }
}

static bool has_more(const struct loop *loop)
{
    return !list_empty(&loop->next) || !list_empty(&loop->dirty);
}

static void update_spin(struct loop *loop)
{
    if (loop->spin_until && loop_clock_ns() >= loop->spin_until)
        loop->spin_until = 0;
    if (loop->spin_until || has_more(loop))
        uv_idle_start(&loop->spin, on_spin);
    else
        uv_idle_stop(&loop->spin);
}

static void end_turn(struct loop *loop)
{
    list_splice(&loop->tasks, &loop->next);
    run_tasks(loop);
    flush_streams(loop);
    run_tasks(loop); /* a flush that failed reports through a task */
}

static void on_before_sleep(uv_prepare_t *handle)
{
    struct loop *loop = container_of(handle, struct loop, before_sleep);
    end_turn(loop);
    update_spin(loop);
}

int loop_init(struct loop *loop)
{
    memset(loop, 0, offsetof(struct loop, scratch));
    list_init(&loop->tasks);
    list_init(&loop->next);
    list_init(&loop->dirty);
    list_init(&loop->procs);
    int rc = uv_loop_init(&loop->uv);
    if (rc)
        return rc;
    uv_prepare_init(&loop->uv, &loop->before_sleep);
    uv_prepare_start(&loop->before_sleep, on_before_sleep);
    uv_unref((uv_handle_t *)&loop->before_sleep);
    uv_idle_init(&loop->uv, &loop->spin);
    uv_timer_init(&loop->uv, &loop->clock);
    return 0;
}

int loop_deinit(struct loop *loop)
{
    run_tasks(loop);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->spin, NULL);
    uv_close((uv_handle_t *)&loop->clock, NULL);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    xfree(loop->heap);
    return uv_loop_close(&loop->uv);
}

/* What the last handle deferred while it closed is done too: no turn follows that would. */
void loop_run(struct loop *loop)
{
    assert(!loop->running);
    loop->running = true;
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) == 0 &&
           !(list_empty(&loop->tasks) && !has_more(loop)))
        end_turn(loop);
    loop->running = false;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

const char *loop_strerror(int code)
{
    return uv_strerror(code);
}

uint64_t loop_now(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

uint64_t loop_clock_ns(void)
{
    return uv_hrtime();
}

void task_init(struct task *task, void (*run)(struct task *))
{
    list_init(&task->node);
    task->run = run;
}

void task_cancel(struct task *task)
{
    list_del(&task->node);
}

void loop_defer(struct loop *loop, struct task *task)
{
    if (list_empty(&task->node))
        list_add(&loop->tasks, &task->node);
}

void loop_defer_next(struct loop *loop, struct task *task)
{
    if (list_empty(&task->node))
        list_add(&loop->next, &task->node);
}

void loop_set_spin(struct loop *loop, uint64_t us)
{
    loop->spin_us = us;
}

void loop_spin(struct loop *loop)
{
    if (!loop->spin_us)
        return;
    if (!loop->spin_until)
        uv_idle_start(&loop->spin, on_spin);
    loop->spin_until = loop_clock_ns() + loop->spin_us * 1000;
}
