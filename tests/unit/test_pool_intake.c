/* No line that a worker writes is fatal, and none reaches anybody but those it is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static void an_unusable_answer_fails_its_call_and_no_other(void **state)
{
    static const struct {
        const char *source;
        const char *words; /* of the failure */
    } cases[] = {
        {"put('{\"id\":%d,\"body\":\"half' % me())", "broken frame"},
        {"put('{\"id\":%d,\"status\":\"two hundred\"}' % me())", "broken frame"},
        {"put('{\"id\":%d,\"json\":NaN}' % me())", "broken frame"},
        {"put('{\"id\":%d,\"body\":\"x\",\"more\":true}' % me())", "in pieces"},
        {"put('{\"id\":%d,\"file\":\"/etc/passwd\"}' % me())", "file"},
        {"answer(1)", "another kind of frame"},
        {"put('{\"id\":%d,\"body\":\"%s\"}' % (me(), 'x' * 70000))", "max_line"},
    };
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.max_line = 65536;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        job_send(&job, pool, cases[i].source);
        rig_until(rig, job.ends);
        assert_int_equal(job.status, 502);
        if (!strstr(job.text, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", job.text, cases[i].words);
        job_send(&job, pool, "reply('fine')");
        rig_until(rig, job.ends);
        assert_string_equal(job.text, "fine");
    }
    assert_int_equal(rig->readies, 1); /* it is the same process all the time */
    rig_free(rig);
}

static void answers_to_nothing_are_dropped(void **state)
{
    static const char *const sources[] = {
        "reply(id=me() + 1000); reply('mine')", /* never given */
        "reply(id=me() - 1); reply('mine')",    /* over */
        "reply('mine'); reply('twice')",
        "reply(id=0); reply('mine')",
        "put('{\"id\":\"%d\",\"body\":\"x\"}' % me()); reply('mine')",
    };
    struct job job, next;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        job_send(&job, pool, sources[i]);
        job_send(&next, pool, "reply('next')");
        rig_until(rig, next.ends);
        assert_string_equal(job.text, "mine");
        assert_string_equal(next.text, "next");
        assert_int_equal(job.ends, 1);
        assert_int_equal(next.ends, 1);
    }
    assert_true(rig_wrote(rig, "an answer to nothing that is open"));
    rig_free(rig);
}

/* Else a confused worker hands one client what another one asked for. */
static void a_one_at_a_time_worker_cannot_answer_what_it_has_not_begun(void **state)
{
    struct job first, behind;
    struct worker_config config = rig_config("a", "ready(prefetch=8)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    rig_worker(pool, 0)->pace = (struct pace){.mean_us = 10, .peak_us = 10, .samples = 100};
    job_send(&first, pool, "sleep(0.05); reply('stolen', id=me() + 1); reply('first')");
    job_send(&behind, pool, "reply('behind')");
    assert_int_equal(behind.writes, 1);
    rig_until(rig, behind.ends);
    assert_string_equal(first.text, "first");
    assert_string_equal(behind.text, "behind");
    assert_true(rig_wrote(rig, "out of order"));
    rig_free(rig);
}

static void a_concurrent_worker_answers_in_any_order(void **state)
{
    struct job jobs[3];
    struct worker_config config = rig_config("a", "ready(concurrency=3)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&jobs[0], pool, "hold()");
    job_send(&jobs[1], pool, "hold()");
    job_send(&jobs[2], pool,
             "reply('2'); reply('1', id=held.pop()); sleep(0.02); reply('0', id=held.pop())");
    rig_until(rig, jobs[0].ends);
    assert_string_equal(jobs[0].text, "0");
    assert_string_equal(jobs[1].text, "1");
    assert_string_equal(jobs[2].text, "2");
    rig_free(rig);
}

/*
 * Two lines are handed over in one write while the pipe is full: the worker gets, and
 * answers, the first of them before that write has been finished.
 */
static void an_answer_counts_though_later_lines_are_still_being_written(void **state)
{
    enum { MOST_OF_A_PIPE = 200 * 1024, MUCH = 900 * 1024 };
    struct job fill[2], small, huge;
    struct worker_config config = rig_config("a", "ready(concurrency=9); sleep(0.3)");
    char *padding = xmalloc(MUCH);
    (void)state;
    memset(padding, ' ', MUCH);
    char *filling = xasprintf("reply('filling') %.*s", MOST_OF_A_PIPE, padding);
    char *last = xasprintf("reply('huge') %.*s", MUCH, padding);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    for (int i = 0; i < 2; i++) {
        job_send(&fill[i], pool, filling);
        rig_linger(rig, 20);
    }
    assert_true(stream_queued(&rig_worker(pool, 0)->proc.in) > 0);
    job_send(&small, pool, "reply('small'); sleep(0.3)");
    job_send(&huge, pool, last);
    assert_int_equal(huge.writes, 1);
    rig_until(rig, small.ends);
    assert_string_equal(small.text, "small");
    assert_int_equal(huge.ends, 0);
    rig_until(rig, huge.ends);
    assert_string_equal(huge.text, "huge");
    rig_free(rig);
    xfree(filling);
    xfree(last);
    xfree(padding);
}

static void what_is_no_frame_is_a_log_line(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool,
             "put('plain'); put(''); put('[1]'); put('{\"type\":\"new\",\"id\":%d}' % me());"
             "put('{\"type\":\"log\",\"level\":\"warn\",\"message\":\"said\"}');"
             "os.write(1, b'10%'); reply('fine'); print('words', file=sys.stderr, flush=True)");
    rig_until(rig, job.ends && rig_wrote(rig, "words"));
    assert_string_equal(job.text, "fine");
    assert_true(rig_wrote(rig, "a#0 stdout: plain\n"));
    assert_true(rig_wrote(rig, "a#0 stdout: [1]\n"));
    assert_true(rig_wrote(rig, "a#0 stdout: 10%\n"));
    assert_true(rig_wrote(rig, "a#0 log: said\n"));
    assert_true(rig_wrote(rig, "a#0 stderr: words\n"));
    rig_free(rig);
}

static void what_a_worker_says_belongs_to_what_it_works_on(void **state)
{
    static const char one[] =
        "put('{\"type\":\"log\",\"id\":%d,\"message\":\"by id\"}' % me());"
        "put('printed'); sleep(0.1); reply(1)";
    static const char silent[] = "sleep(0.2); reply(2)";
    struct job jobs[2];
    struct worker_config single = rig_config("a", "put('early'); ready()");
    struct worker_config many = rig_config("b", "ready(concurrency=9)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &single);
    job_send(&jobs[0], pool, one);
    rig_until(rig, jobs[0].ends);
    assert_true(rig_wrote_about(rig, "early", "\n"));
    assert_true(rig_wrote_about(rig, "by id", "put"));
    assert_true(rig_wrote_about(rig, "printed", "put"));
    buf_clear(&rig->about);
    pool = rig_pool(rig, &many);
    job_send(&jobs[0], pool, silent);
    job_send(&jobs[1], pool, one);
    rig_until(rig, jobs[0].ends && jobs[1].ends);
    assert_true(rig_wrote_about(rig, "by id", "put"));
    assert_true(rig_wrote_about(rig, "printed", "\n")); /* either may have been at it */
    rig_free(rig);
}

static void log_lines_over_the_rate_are_counted(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.log_rate = 5;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "[put('line %d' % i) for i in range(100)]; reply()");
    rig_until(rig, rig_told(rig, "log lines dropped"));
    assert_true(rig_wrote(rig, "line 9\n"));
    assert_false(rig_wrote(rig, "line 99\n"));
    rig_free(rig);
}

static void who_writes_garbage_all_the_time_is_replaced(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_send(&job, pool, "[put('{\"id\":1,') for i in range(15)]; reply()");
    rig_until(rig, job.ends);
    rig_linger(rig, 50);
    assert_int_equal(rig_worker(pool, 0)->life, life); /* a few are nothing */
    job_send(&job, pool, "[put('{\"id\":1,') for i in range(200)]; reply()");
    rig_until(rig, job.ends && rig_worker(pool, 0)->life != life);
    assert_true(rig_told(rig, "cannot be read"));
    rig_free(rig);
    assert_int_equal(job.ends, 1);
}

static void an_overlong_line_of_nobody_is_skipped(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.max_line = 65536;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "put('x' * 300000); reply('fine')");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "fine");
    rig_free(rig);
}

/* A second `ready` replaces what the worker declares, not what it has to do. */
static void a_new_declaration_is_told_of(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready(tokens=['Old'])");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "ready(tokens=['New'], concurrency=7); reply()");
    rig_until(rig, job.ends && rig->readies == 2);
    const struct ready *ready = pool_declaration(pool);
    assert_int_equal(ready->token_count, 1);
    assert_true(slice_is(ready->tokens[0], "New"));
    assert_int_equal(ready->concurrency, 1);
    rig_free(rig);
}

static int tests(void)
{
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(an_unusable_answer_fails_its_call_and_no_other),
        cmocka_unit_test(answers_to_nothing_are_dropped),
        cmocka_unit_test(a_one_at_a_time_worker_cannot_answer_what_it_has_not_begun),
        cmocka_unit_test(a_concurrent_worker_answers_in_any_order),
        cmocka_unit_test(an_answer_counts_though_later_lines_are_still_being_written),
        cmocka_unit_test(what_is_no_frame_is_a_log_line),
        cmocka_unit_test(what_a_worker_says_belongs_to_what_it_works_on),
        cmocka_unit_test(log_lines_over_the_rate_are_counted),
        cmocka_unit_test(who_writes_garbage_all_the_time_is_replaced),
        cmocka_unit_test(an_overlong_line_of_nobody_is_skipped),
        cmocka_unit_test(a_new_declaration_is_told_of),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
