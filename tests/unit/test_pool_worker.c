/* What waits in a worker's pipe, and what happens when something slow stands before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

/* As after many quick answers, so that what a test sees does not hang on how quick. */
static void make_fast(struct pool *pool)
{
    for (unsigned i = 0; i < pool->config->instances; i++)
        rig_worker(pool, i)->pace = (struct pace){.mean_us = 10, .peak_us = 10, .samples = 100};
}

static void only_a_fast_worker_gets_calls_ahead(void **state)
{
    struct job jobs[8];
    struct worker_config config = rig_config("a", "ready(prefetch=3)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&jobs[0], pool, "sleep(0.05); reply()");
    job_send(&jobs[1], pool, "reply()");
    assert_int_equal(rig_worker(pool, 0)->slot_count, 1); /* it is not known yet */
    rig_until(rig, jobs[1].ends);
    make_fast(pool);
    for (int i = 0; i < 8; i++)
        job_send(&jobs[i], pool, "reply()");
    assert_int_equal(rig_worker(pool, 0)->slot_count, 1 + 3);
    assert_int_equal(pool->waiting, 4);
    for (int i = 0; i < 8; i++)
        rig_until(rig, jobs[i].ends == 1);
    rig_free(rig);
}

static void the_configuration_bounds_what_is_given_ahead(void **state)
{
    struct job jobs[4];
    struct worker_config config = rig_config("a", "ready(prefetch=64)");
    (void)state;
    config.prefetch = 1;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    make_fast(pool);
    for (int i = 0; i < 4; i++)
        job_send(&jobs[i], pool, "reply()");
    assert_int_equal(rig_worker(pool, 0)->slot_count, 2);
    for (int i = 0; i < 4; i++)
        rig_until(rig, jobs[i].ends);
    rig_free(rig);
}

/* The first instance is given a slow call with two behind it; the other one is free soon. */
static void what_waits_behind_a_slow_call_moves_to_who_is_free(void **state)
{
    struct job slow, quick, moved, bound;
    struct worker_config config = rig_config("a", "ready(prefetch=4, features=['cancel'])");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    make_fast(pool);
    job_send(&slow, pool, "sleep(0.5); reply('slow')");
    job_send(&quick, pool, "sleep(0.1); reply('quick')");
    struct worker *stuck = slow.call.slot->worker;
    quick.call.slot->worker->stalled = true; /* so that it is not given anything ahead */
    job_init(&moved, "reply(str(len(cancelled)))");
    moved.call.idempotent = true;
    assert_null(job_submit(&moved, pool, 0));
    job_send(&bound, pool, "reply('bound')");
    assert_ptr_equal(moved.call.slot->worker, stuck);
    assert_ptr_equal(bound.call.slot->worker, stuck);
    rig_until(rig, moved.ends);
    assert_int_equal(slow.ends, 0);
    assert_int_equal(moved.writes, 2);
    assert_string_equal(moved.text, "0"); /* not from the one that was told to forget it */
    rig_until(rig, bound.ends);
    assert_int_equal(bound.writes, 1); /* it may not be started twice */
    assert_string_equal(bound.text, "bound");
    rig_until(rig, stuck->slot_count == 0);
    rig_free(rig);
    assert_int_equal(moved.ends, 1);
}

static void a_worker_whose_pipe_is_full_gets_nothing_more(void **state)
{
    enum { MUCH = 800 * 1024 };
    struct job large, small;
    struct worker_config config = rig_config("a", "ready(concurrency=8); sleep(0.2)");
    char *padding = xmalloc(MUCH + 1);
    (void)state;
    memset(padding, ' ', MUCH);
    char *source = xasprintf("reply('large') %.*s", MUCH, padding);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&large, pool, source);
    job_send(&small, pool, "reply('small')");
    assert_int_equal(small.writes, 0);
    rig_until(rig, small.ends); /* when it has drained */
    assert_int_equal(large.ends, 1);
    rig_free(rig);
    xfree(source);
    xfree(padding);
}

static void a_level_0_worker_may_be_a_shell_script(void **state)
{
    static const char *script[] = {
        "/bin/sh", "-c",
        "echo '{\"type\":\"ready\"}'; while read -r line; do id=${line#*\\\"id\\\":};"
        "printf '{\"id\":%s,\"body\":\"shell\"}\\n' \"${id%%,*}\"; done",
        NULL};
    struct job jobs[2];
    struct worker_config config = rig_command("sh", script);
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    for (int i = 0; i < 2; i++) {
        job_send(&jobs[i], pool, "anything");
        rig_until(rig, jobs[i].ends);
        assert_string_equal(jobs[i].text, "shell");
    }
    rig_free(rig);
}

static void a_worker_that_says_nothing_may_be_configured(void **state)
{
    static const char *script[] = {
        "/bin/sh", "-c",
        "while read -r line; do id=${line#*\\\"id\\\":};"
        "printf '{\"id\":%s,\"body\":\"auto\"}\\n' \"${id%%,*}\"; done",
        NULL};
    struct job job;
    struct worker_config config = rig_command("sh", script);
    (void)state;
    config.ready_auto = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "anything");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "auto");
    rig_free(rig);
}

/* ------------------------------------------------------------------- health */

static void a_worker_that_answers_pings_stays(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready(features=['ping'])");
    (void)state;
    config.ping_interval = 5;
    config.ping_timeout = 2000;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    rig_linger(rig, 200);
    job_send(&job, pool, "reply()");
    rig_until(rig, job.ends);
    assert_int_equal(rig_worker(pool, 0)->life, life);
    assert_false(rig_told(rig, "unhealthy"));
    rig_free(rig);
}

static void a_busy_one_at_a_time_worker_is_not_pinged(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready(features=['ping'])");
    (void)state;
    config.ping_interval = 10;
    config.ping_timeout = 50;
    config.ping_kill = 100;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    rig_until(rig, rig_worker(pool, 0)->ping_id == 0);
    job_send(&job, pool, "sleep(0.4); reply('done')");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "done");
    assert_false(rig_told(rig, "unhealthy"));
    rig_free(rig);
}

static void a_frozen_worker_gets_nothing_new_and_is_replaced(void **state)
{
    struct job frozen, waits;
    struct worker_config config =
        rig_config("a", "ready(concurrency=9, features=['ping'])\n"
                        "if os.environ['NODEY_LIFE'] == '1':\n"
                        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n");
    (void)state;
    config.ping_interval = 20;
    config.ping_timeout = 100;
    config.ping_kill = 300;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_send(&frozen, pool, "sleep(1000)");
    rig_until(rig, rig_worker(pool, 0)->state == WORKER_UNHEALTHY);
    job_send(&waits, pool, "reply('served')");
    assert_int_equal(waits.writes, 0);
    rig_until(rig, waits.ends);
    assert_string_equal(waits.text, "served");
    assert_int_not_equal(rig_worker(pool, 0)->life, life);
    rig_until(rig, frozen.ends);
    assert_int_equal(frozen.status, 502);
    rig_free(rig);
}

static void an_unhealthy_worker_that_answers_again_is_used_again(void **state)
{
    struct job hiccup, next;
    struct worker_config config = rig_config("a", "ready(concurrency=9, features=['ping'])");
    (void)state;
    config.ping_interval = 20;
    config.ping_timeout = 60;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_send(&hiccup, pool, "sleep(0.3); reply()");
    rig_until(rig, rig_worker(pool, 0)->state == WORKER_UNHEALTHY);
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    assert_true(rig_told(rig, "healthy again"));
    assert_int_equal(rig_worker(pool, 0)->life, life);
    rig_free(rig);
}

static int tests(void)
{
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(only_a_fast_worker_gets_calls_ahead),
        cmocka_unit_test(the_configuration_bounds_what_is_given_ahead),
        cmocka_unit_test(what_waits_behind_a_slow_call_moves_to_who_is_free),
        cmocka_unit_test(a_worker_whose_pipe_is_full_gets_nothing_more),
        cmocka_unit_test(a_level_0_worker_may_be_a_shell_script),
        cmocka_unit_test(a_worker_that_says_nothing_may_be_configured),
        cmocka_unit_test(a_worker_that_answers_pings_stays),
        cmocka_unit_test(a_busy_one_at_a_time_worker_is_not_pinged),
        cmocka_unit_test(a_frozen_worker_gets_nothing_new_and_is_replaced),
        cmocka_unit_test(an_unhealthy_worker_that_answers_again_is_used_again),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
