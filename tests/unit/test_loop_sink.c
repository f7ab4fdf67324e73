#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "loop/sink.h"

#include <cmocka.h>

enum { A_MIB = 1 << 20 };

struct bench {
    struct loop loop;
    struct sink sink;
    struct timer stop;
    int reader;
    int writer;
};

static void bench_init(struct bench *b)
{
    int ends[2];
    assert_int_equal(loop_init(&b->loop), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    b->reader = ends[0];
    b->writer = ends[1];
    b->stop = (struct timer){0};
    sink_init(&b->sink, b->writer);
}

static void bench_deinit(struct bench *b)
{
    sink_detach(&b->sink);
    if (b->reader >= 0)
        close(b->reader);
    close(b->writer);
    assert_int_equal(loop_deinit(&b->loop), 0);
}

static void on_stop(struct timer *timer)
{
    loop_stop(&container_of(timer, struct bench, stop)->loop);
}

static void run_for(struct bench *b, uint64_t ms)
{
    timer_start(&b->loop, &b->stop, ms, on_stop);
    loop_run(&b->loop);
}

/* Appends all that can be read now. */
static size_t drain(struct bench *b, struct buf *out)
{
    size_t before = out->len;
    fcntl(b->reader, F_SETFL, O_NONBLOCK);
    for (;;) {
        ssize_t n = read(b->reader, buf_reserve(out, 65536), 65536);
        if (n <= 0)
            return out->len - before;
        out->len += (size_t)n;
    }
}

static void without_a_loop_lines_go_at_once(void **state)
{
    struct bench b;
    struct buf got = {0};
    (void)state;
    bench_init(&b);
    sink_write(&b.sink, SLICE("one\n"));
    drain(&b, &got);
    assert_string_equal(buf_cstr(&got), "one\n");
    buf_deinit(&got);
    buf_deinit(&b.sink.held);
    bench_deinit(&b);
}

static void with_a_loop_they_wait_for_the_end_of_the_turn(void **state)
{
    struct bench b;
    struct buf got = {0};
    (void)state;
    bench_init(&b);
    sink_attach(&b.sink, &b.loop);
    sink_write(&b.sink, SLICE("one\n"));
    sink_write(&b.sink, SLICE("two\n"));
    assert_int_equal(drain(&b, &got), 0);
    run_for(&b, 1);
    drain(&b, &got);
    assert_string_equal(buf_cstr(&got), "one\ntwo\n");
    buf_deinit(&got);
    bench_deinit(&b);
}

/* Fills the pipe and the queue behind it; how many lines that took. */
static unsigned flood(struct bench *b, size_t bytes)
{
    struct buf line = {0};
    unsigned lines = 0;
    memset(buf_reserve(&line, 1000), 'x', 999);
    line.ptr[999] = '\n';
    line.len = 1000;
    for (; lines * line.len < bytes; lines++)
        sink_write(&b->sink, buf_slice(&line));
    buf_deinit(&line);
    return lines;
}

static void a_full_pipe_never_blocks_and_what_it_costs_is_counted(void **state)
{
    struct bench b;
    struct buf got = {0};
    (void)state;
    bench_init(&b);
    sink_attach(&b.sink, &b.loop);
    unsigned lines = flood(&b, 3 * A_MIB);
    run_for(&b, 5); /* it takes what the pipe takes, and does not hang */
    assert_true(b.sink.held.len > A_MIB / 2);
    assert_true(b.sink.held.len <= A_MIB);
    uint64_t dropped = b.sink.dropped;
    assert_in_range(dropped, lines / 2, lines);
    for (int i = 0; i < 2000 && (b.sink.held.len || i == 0); i++) {
        drain(&b, &got);
        run_for(&b, 1);
    }
    drain(&b, &got);
    assert_int_equal(got.len, (lines - dropped) * 1000); /* the rest came, whole and in order */
    buf_clear(&got);
    sink_write(&b.sink, SLICE("after\n"));
    run_for(&b, 30);
    drain(&b, &got);
    char *expected =
        xasprintf("... %llu lines dropped: the log was not read fast enough\nafter\n",
                  (unsigned long long)dropped);
    assert_string_equal(buf_cstr(&got), expected);
    assert_int_equal(b.sink.dropped, 0);
    xfree(expected);
    buf_deinit(&got);
    bench_deinit(&b);
}

/* Others share the descriptor: they would find it non-blocking too. */
static void the_descriptor_is_left_as_it_was(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    int before = fcntl(b.writer, F_GETFL);
    sink_attach(&b.sink, &b.loop);
    sink_write(&b.sink, SLICE("one\n"));
    run_for(&b, 1);
    assert_int_equal(fcntl(b.writer, F_GETFL), before);
    bench_deinit(&b);
}

static void a_reader_that_left_is_no_reason_to_fail(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    sink_attach(&b.sink, &b.loop);
    close(b.reader);
    b.reader = -1;
    sink_write(&b.sink, SLICE("one\n"));
    run_for(&b, 1);
    assert_true(b.sink.broken);
    sink_write(&b.sink, SLICE("two\n"));
    assert_int_equal(b.sink.held.len, 0);
    bench_deinit(&b);
}

static void detaching_writes_what_is_held(void **state)
{
    struct bench b;
    struct buf got = {0};
    (void)state;
    bench_init(&b);
    sink_attach(&b.sink, &b.loop);
    sink_write(&b.sink, SLICE("last words\n"));
    sink_detach(&b.sink);
    drain(&b, &got);
    assert_string_equal(buf_cstr(&got), "last words\n");
    buf_deinit(&got);
    bench_deinit(&b);
}

static void detaching_from_a_stopped_reader_does_not_take_for_ever(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    sink_attach(&b.sink, &b.loop);
    flood(&b, A_MIB / 2);
    uint64_t begin = loop_clock_ns();
    sink_detach(&b.sink);
    assert_in_range((loop_clock_ns() - begin) / 1000000, 100, 2000);
    bench_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_loop_lines_go_at_once),
        cmocka_unit_test(with_a_loop_they_wait_for_the_end_of_the_turn),
        cmocka_unit_test(a_full_pipe_never_blocks_and_what_it_costs_is_counted),
        cmocka_unit_test(the_descriptor_is_left_as_it_was),
        cmocka_unit_test(a_reader_that_left_is_no_reason_to_fail),
        cmocka_unit_test(detaching_writes_what_is_held),
        cmocka_unit_test(detaching_from_a_stopped_reader_does_not_take_for_ever),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
