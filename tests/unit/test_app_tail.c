/* The last words of a worker, and the reason why it did not start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "app/tail.h"

#include <cmocka.h>

struct stage {
    struct worker_config config;
    struct pool pool;
    struct worker worker;
    struct tails tails;
};

static void set_up(struct stage *s)
{
    *s = (struct stage){.config.name = "fib", .pool.config = &s->config};
    s->worker.pool = &s->pool;
    s->worker.life = 1;
    snprintf(s->worker.name, sizeof(s->worker.name), "fib#0");
    tails_init(&s->tails);
}

static void says(struct stage *s, const char *stream, const char *text)
{
    tails_wrote(&s->tails, &(struct worker_line){
                               .worker = &s->worker, .stream = stream, .text = slice_of(text)});
}

static void fails(struct stage *s)
{
    tails_told(&s->tails, &s->pool, &s->worker, LOG_ERROR, "exited with status 1");
    s->worker.life++;
}

static const char *reason(struct stage *s)
{
    static struct buf text;
    const struct tail *tail = tails_find(&s->tails, "fib");
    buf_clear(&text);
    buf_add(&text, buf_slice(&tail->reason));
    return buf_cstr(&text);
}

static void only_the_newest_lines_are_kept(void **state)
{
    struct stage s;
    char text[64];
    (void)state;
    set_up(&s);
    s.worker.ready_ms = 1;
    assert_null(tails_find(&s.tails, "fib"));
    for (int i = 0; i < 250; i++) {
        snprintf(text, sizeof(text), "line %d.\nand more", i);
        says(&s, "stdout", text);
    }
    const struct tail *tail = tails_find(&s.tails, "fib");
    size_t lines = 0;
    for (size_t i = 0; i < tail->lines.len; i++)
        lines += tail->lines.ptr[i] == '\n';
    assert_int_equal(lines, TAIL_LINES);
    assert_non_null(memmem(tail->lines.ptr, tail->lines.len, "line 249.", 9));
    assert_non_null(memmem(tail->lines.ptr, tail->lines.len, "line 200.", 9));
    assert_null(memmem(tail->lines.ptr, tail->lines.len, "line 199.", 9));
    tails_deinit(&s.tails);
}

static void long_lines_are_bounded_in_bytes(void **state)
{
    struct stage s;
    struct buf text = {0};
    (void)state;
    set_up(&s);
    memset(buf_reserve(&text, 9000), 'x', 9000);
    text.len = 9000;
    for (int i = 0; i < 50; i++)
        says(&s, "stderr", buf_cstr(&text));
    const struct tail *tail = tails_find(&s.tails, "fib");
    assert_in_range(tail->lines.len, TAIL_BYTES / 2, TAIL_BYTES);
    assert_in_range(tail->words.len, 1, TAIL_BYTES);
    tails_deinit(&s.tails);
    buf_deinit(&text);
}

static void what_it_wrote_before_it_ended_is_the_reason(void **state)
{
    struct stage s;
    (void)state;
    set_up(&s);
    says(&s, "stderr", "Traceback");
    says(&s, "stderr", "NameError: x");
    assert_string_equal(reason(&s), "");
    fails(&s);
    assert_string_equal(reason(&s), "Traceback\nNameError: x\n");
    says(&s, "stderr", "the next one has only begun");
    assert_string_equal(reason(&s), "Traceback\nNameError: x\n");
    tails_deinit(&s.tails);
}

static void an_error_that_it_sent_says_more_than_what_is_around_it(void **state)
{
    struct stage s;
    (void)state;
    set_up(&s);
    says(&s, "stderr", "loading");
    says(&s, "error", "DATABASE_URL is not set");
    says(&s, "stderr", "bye");
    fails(&s);
    assert_string_equal(reason(&s), "DATABASE_URL is not set\n");
    tails_deinit(&s.tails);
}

static void a_stack_that_the_log_does_without_is_part_of_the_reason(void **state)
{
    struct stage s;
    struct worker_line line = {.worker = &s.worker,
                               .stream = "error",
                               .text = SLICE("it needs the package x"),
                               .stack = SLICE("Traceback\nModuleNotFoundError: x")};
    (void)state;
    set_up(&s);
    tails_wrote(&s.tails, &line);
    fails(&s);
    assert_string_equal(reason(&s),
                        "it needs the package x\nTraceback\nModuleNotFoundError: x\n");
    assert_true(tails_repeats(&s.tails, &line));
    tails_deinit(&s.tails);
}

static void who_says_nothing_ended_somehow(void **state)
{
    struct stage s;
    (void)state;
    set_up(&s);
    fails(&s);
    assert_string_equal(reason(&s), "exited with status 1\n");
    tails_deinit(&s.tails);
}

static void the_reason_is_gone_when_one_is_ready(void **state)
{
    struct stage s;
    (void)state;
    set_up(&s);
    says(&s, "stderr", "broken");
    fails(&s);
    tails_ready(&s.tails, &s.pool);
    assert_string_equal(reason(&s), "");
    s.worker.ready_ms = 1; /* and what crashes later did start */
    says(&s, "stderr", "later");
    fails(&s);
    assert_string_equal(reason(&s), "");
    tails_deinit(&s.tails);
}

static void the_same_reason_need_not_be_read_twice(void **state)
{
    struct stage s;
    struct worker_line line = {.worker = &s.worker, .stream = "error", .text = SLICE("broken")};
    (void)state;
    set_up(&s);
    assert_false(tails_repeats(&s.tails, &line));
    tails_wrote(&s.tails, &line);
    fails(&s);
    assert_true(tails_repeats(&s.tails, &line));
    tails_wrote(&s.tails, &line);
    fails(&s);
    assert_string_equal(reason(&s), "broken\n");
    line.text = SLICE("otherwise broken");
    assert_false(tails_repeats(&s.tails, &line));
    line.text = SLICE("broken");
    s.worker.generation++; /* a new version of the program */
    assert_false(tails_repeats(&s.tails, &line));
    tails_deinit(&s.tails);
}

static void in_production_nothing_is_kept(void **state)
{
    struct stage s;
    (void)state;
    set_up(&s);
    s.tails = (struct tails){0};
    says(&s, "stderr", "x");
    fails(&s);
    tails_ready(&s.tails, &s.pool);
    assert_null(tails_find(&s.tails, "fib"));
    tails_deinit(&s.tails);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_newest_lines_are_kept),
        cmocka_unit_test(long_lines_are_bounded_in_bytes),
        cmocka_unit_test(what_it_wrote_before_it_ended_is_the_reason),
        cmocka_unit_test(an_error_that_it_sent_says_more_than_what_is_around_it),
        cmocka_unit_test(a_stack_that_the_log_does_without_is_part_of_the_reason),
        cmocka_unit_test(who_says_nothing_ended_somehow),
        cmocka_unit_test(the_reason_is_gone_when_one_is_ready),
        cmocka_unit_test(the_same_reason_need_not_be_read_twice),
        cmocka_unit_test(in_production_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
