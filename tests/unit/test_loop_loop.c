#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/sig.h"
#include "loop/stream.h"

#include <cmocka.h>

struct chore {
    struct task task;
    struct loop *loop;
    struct chore *next;
    unsigned runs;
};

static void on_chore(struct task *task)
{
    struct chore *c = container_of(task, struct chore, task);
    c->runs++;
    if (c->next)
        loop_defer(c->loop, &c->next->task);
}

static void chore_init(struct chore *c, struct loop *loop, struct chore *next)
{
    *c = (struct chore){.loop = loop, .next = next};
    task_init(&c->task, on_chore);
}

static void a_task_runs_once_however_often_it_is_asked_for(void **state)
{
    struct loop loop;
    struct chore chore;
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    chore_init(&chore, &loop, NULL);
    for (int i = 0; i < 3; i++)
        loop_defer(&loop, &chore.task);
    assert_int_equal(chore.runs, 0); /* not from within */
    loop_run(&loop);
    assert_int_equal(chore.runs, 1);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_cancelled_task_does_not_run(void **state)
{
    struct loop loop;
    struct chore chore;
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    chore_init(&chore, &loop, NULL);
    task_cancel(&chore.task);
    loop_defer(&loop, &chore.task);
    task_cancel(&chore.task);
    loop_run(&loop);
    assert_int_equal(chore.runs, 0);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_task_may_defer_another(void **state)
{
    struct loop loop;
    struct chore first, second, third;
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    chore_init(&third, &loop, NULL);
    chore_init(&second, &loop, &third);
    chore_init(&first, &loop, &second);
    loop_defer(&loop, &first.task);
    loop_run(&loop);
    assert_int_equal(first.runs + second.runs + third.runs, 3);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* A timer's task runs before the loop sleeps, not when the next thing happens. */
struct alarm {
    struct timer timer;
    struct timer far;
    struct chore chore;
};

static void on_alarm(struct timer *timer)
{
    loop_defer(container_of(timer, struct alarm, timer)->chore.loop,
               &container_of(timer, struct alarm, timer)->chore.task);
}

static void on_far(struct timer *timer)
{
    (void)timer;
    fail_msg("the loop slept before it ran its tasks");
}

static void on_chore_stop(struct task *task)
{
    struct chore *c = container_of(task, struct chore, task);
    c->runs++;
    loop_stop(c->loop);
}

static void tasks_run_before_the_loop_sleeps(void **state)
{
    struct loop loop;
    struct alarm alarm = {0};
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    chore_init(&alarm.chore, &loop, NULL);
    alarm.chore.task.run = on_chore_stop;
    timer_start(&loop, &alarm.timer, 1, on_alarm);
    timer_start(&loop, &alarm.far, 5000, on_far);
    loop_run(&loop);
    assert_int_equal(alarm.chore.runs, 1);
    timer_stop(&loop, &alarm.far);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* -------------------------------------------------------- the last handle's task */

struct last {
    struct stream stream;
    struct chore chore;
    unsigned data_calls;
};

static size_t on_data(struct stream *s, struct slice bytes)
{
    container_of(s, struct last, stream)->data_calls++;
    return bytes.len;
}

static void on_ended(struct stream *s, int status)
{
    (void)status;
    stream_close(s);
}

static void on_gone(struct stream *s)
{
    struct last *last = container_of(s, struct last, stream);
    loop_defer(last->chore.loop, &last->chore.task);
}

static const struct stream_ops ops = {
    .data = on_data,
    .ended = on_ended,
    .gone = on_gone,
};

static void what_the_last_handle_defers_is_done(void **state)
{
    struct loop loop;
    struct last last;
    int ends[2];
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(pipe(ends), 0);
    chore_init(&last.chore, &loop, NULL);
    assert_int_equal(stream_open_pipe(&last.stream, &loop, ends[0], &ops), 0);
    stream_start(&last.stream, SIZE_MAX);
    close(ends[1]);
    loop_run(&loop);
    assert_int_equal(last.chore.runs, 1);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* What a turn writes leaves at its end, in one piece. */
static void a_turn_writes_once(void **state)
{
    struct loop loop;
    struct last last = {0};
    int ends[2];
    char got[64];
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    chore_init(&last.chore, &loop, NULL);
    assert_int_equal(stream_open_pipe(&last.stream, &loop, ends[0], &ops), 0);
    stream_start(&last.stream, SIZE_MAX);
    stream_write(&last.stream, SLICE("one "));
    stream_write(&last.stream, SLICE("two"));
    assert_int_equal(recv(ends[1], got, sizeof(got), MSG_DONTWAIT), -1);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(recv(ends[1], got, sizeof(got), MSG_DONTWAIT), 7); /* one packet */
    assert_memory_equal(got, "one two", 7);
    assert_int_equal(recv(ends[1], got, sizeof(got), MSG_DONTWAIT), -1);
    stream_close(&last.stream);
    loop_run(&loop);
    close(ends[1]);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* ---------------------------------------------------------------- the next turn */

static void on_again(struct task *task)
{
    struct chore *c = container_of(task, struct chore, task);
    if (++c->runs < 5)
        loop_defer_next(c->loop, task);
}

static void work_in_pieces_neither_sleeps_nor_fills_a_turn(void **state)
{
    struct loop loop;
    struct chore chore;
    struct timer far = {0};
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    chore_init(&chore, &loop, NULL);
    task_init(&chore.task, on_again);
    timer_start(&loop, &far, 60 * 1000, on_far);
    loop_defer(&loop, &chore.task);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(chore.runs, 1); /* one piece in a turn */
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(chore.runs, 2);
    while (chore.runs < 5)
        uv_run(&loop.uv, UV_RUN_ONCE); /* would wait for the timer if it slept */
    timer_stop(&loop, &far);
    loop_run(&loop);
    assert_int_equal(chore.runs, 5);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void on_emptied(struct stream *s)
{
    struct last *last = container_of(s, struct last, stream);
    if (last->data_calls++ < 3)
        stream_write(s, SLICE("x"));
}

/* Who writes because all was written is not forgotten, and does not fill the turn. */
static void what_a_flush_causes_is_flushed_in_the_next_turn(void **state)
{
    static const struct stream_ops busy = {
        .data = on_data, .ended = on_ended, .drained = on_emptied, .gone = on_gone};
    struct loop loop;
    struct last last = {0};
    struct timer far = {0};
    int ends[2];
    char got[64];
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    chore_init(&last.chore, &loop, NULL);
    assert_int_equal(stream_open_pipe(&last.stream, &loop, ends[0], &busy), 0);
    timer_start(&loop, &far, 60 * 1000, on_far);
    stream_write(&last.stream, SLICE("x"));
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(last.data_calls, 1);
    while (last.data_calls < 4)
        uv_run(&loop.uv, UV_RUN_ONCE); /* would wait for the timer if it slept */
    for (int i = 0; i < 4; i++)
        assert_int_equal(recv(ends[1], got, sizeof(got), MSG_DONTWAIT), 1);
    timer_stop(&loop, &far);
    stream_close(&last.stream);
    loop_run(&loop);
    close(ends[1]);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_leaked_handle_is_noticed(void **state)
{
    struct loop *loop = xmalloc(sizeof(*loop));
    uv_timer_t leaked;
    (void)state;
    assert_int_equal(loop_init(loop), 0);
    uv_timer_init(&loop->uv, &leaked);
    assert_int_equal(loop_deinit(loop), UV_EBUSY);
    uv_close((uv_handle_t *)&leaked, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop->uv), 0);
    xfree(loop);
}

/* --------------------------------------------------------------------- spinning */

static void spinning_ends_by_itself(void **state)
{
    struct loop loop;
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    loop_spin(&loop); /* off: nothing happens */
    assert_int_equal(loop.spin_until, 0);
    loop_set_spin(&loop, 20000);
    loop_spin(&loop);
    uint64_t begin = loop_clock_ns();
    loop_run(&loop); /* spinning keeps it alive */
    assert_in_range(loop_clock_ns() - begin, 15000000, 2000000000);
    assert_int_equal(loop.spin_until, 0);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* ---------------------------------------------------------------------- signals */

struct watch {
    struct sig sig;
    struct loop *loop;
    int signum;
};

static void on_signal(struct sig *s, int signum)
{
    struct watch *w = container_of(s, struct watch, sig);
    w->signum = signum;
    loop_stop(w->loop);
}

static void a_signal_is_a_callback(void **state)
{
    struct loop loop;
    struct watch watch = {.loop = &loop};
    struct timer limit = {0};
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(sig_start(&watch.sig, &loop, SIGUSR2, on_signal), 0);
    loop_run(&loop); /* it does not keep the loop alive */
    timer_start(&loop, &limit, 5000, on_far);
    raise(SIGUSR2);
    loop_run(&loop);
    assert_int_equal(watch.signum, SIGUSR2);
    timer_stop(&loop, &limit);
    sig_stop(&watch.sig);
    sig_stop(&watch.sig);
    assert_int_equal(loop_deinit(&loop), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_runs_once_however_often_it_is_asked_for),
        cmocka_unit_test(a_cancelled_task_does_not_run),
        cmocka_unit_test(a_task_may_defer_another),
        cmocka_unit_test(tasks_run_before_the_loop_sleeps),
        cmocka_unit_test(what_the_last_handle_defers_is_done),
        cmocka_unit_test(a_turn_writes_once),
        cmocka_unit_test(work_in_pieces_neither_sleeps_nor_fills_a_turn),
        cmocka_unit_test(what_a_flush_causes_is_flushed_in_the_next_turn),
        cmocka_unit_test(a_leaked_handle_is_noticed),
        cmocka_unit_test(spinning_ends_by_itself),
        cmocka_unit_test(a_signal_is_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
