/* What becomes of a call: it completes exactly once, whatever happens to its worker. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static void an_answer_completes_its_call(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "reply('hello')");
    assert_int_equal(job.ends, 0);
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 200);
    assert_string_equal(job.text, "hello");
    assert_string_equal(job.by, "a#0");
    rig_free(rig);
    assert_int_equal(job.ends, 1);
}

static void an_error_frame_completes_its_call(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    job_send(&job, rig_pool(rig, &config), "fail('not_found', 'no such thing')");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 404);
    assert_string_equal(job.text, "no such thing");
    rig_free(rig);
    assert_int_equal(job.ends, 1);
}

/* The one behind a slow one may wait no longer than queue_timeout. */
static void a_call_times_out_in_the_queue(void **state)
{
    struct job slow, behind;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.queue_timeout = 50;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&slow, pool, "sleep(0.3); reply('slow')");
    job_send(&behind, pool, "reply('behind')");
    rig_until(rig, behind.ends);
    assert_int_equal(behind.status, 503);
    assert_string_equal(behind.code, "unavailable");
    assert_int_equal(behind.writes, 0);
    assert_int_equal(slow.ends, 0);
    rig_until(rig, slow.ends);
    assert_int_equal(slow.status, 200); /* it was written in time */
    rig_free(rig);
    assert_int_equal(behind.ends, 1);
}

static void a_worker_that_misses_a_deadline_is_replaced(void **state)
{
    struct job stuck, next;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_init(&stuck, "sleep(1000)");
    assert_null(job_submit(&stuck, pool, 50));
    rig_until(rig, stuck.ends);
    assert_int_equal(stuck.status, 504);
    assert_string_equal(stuck.code, "deadline_exceeded");
    assert_int_equal(rig_worker(pool, 0)->life, life); /* it has kill_after to answer */
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    assert_int_not_equal(rig_worker(pool, 0)->life, life);
    assert_true(rig_told(rig, "it is being replaced"));
    rig_free(rig);
    assert_int_equal(stuck.ends, 1);
}

static void a_worker_that_answers_late_is_kept(void **state)
{
    struct job late, next;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.kill_after = 5000;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_init(&late, "sleep(0.2); reply('late')");
    assert_null(job_submit(&late, pool, 50));
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_int_equal(late.status, 504);
    assert_string_equal(next.text, "next");
    assert_int_equal(rig_worker(pool, 0)->life, life);
    rig_free(rig);
    assert_int_equal(late.ends, 1);
}

/* The second is overdue while the first one's last chance still runs. */
static void a_second_stuck_call_is_noticed_too(void **state)
{
    struct job first, second;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.kill_after = 300;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_init(&first, "sleep(0.15); reply('late')");
    assert_null(job_submit(&first, pool, 50));
    rig_until(rig, first.ends);
    rig_until(rig, rig_worker(pool, 0)->slot_count == 0);
    job_init(&second, "sleep(1000)");
    assert_null(job_submit(&second, pool, 50));
    rig_until(rig, second.ends);
    assert_int_equal(rig_worker(pool, 0)->life, life);
    rig_until(rig, rig_worker(pool, 0)->life != life);
    rig_free(rig);
}

static void a_call_cancelled_in_the_queue_is_never_written(void **state)
{
    struct job first, second;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&first, pool, "sleep(0.05); reply()");
    job_send(&second, pool, "reply()");
    assert_int_equal(pool->waiting, 1);
    call_cancel(&second.call, "disconnect");
    assert_int_equal(pool->waiting, 0);
    call_cancel(&second.call, "disconnect"); /* it is over: nothing happens */
    rig_until(rig, first.ends);
    rig_free(rig);
    assert_int_equal(second.ends, 0);
    assert_int_equal(second.writes, 0);
}

static void a_cancelled_call_keeps_its_slot_until_the_answer(void **state)
{
    struct job first, second;
    struct worker_config config = rig_config("a", "ready(features=['cancel'])");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&first, pool, "sleep(0.2); reply('dropped')");
    job_send(&second, pool, "reply(str(len(cancelled)))");
    call_cancel(&first.call, "disconnect");
    assert_int_equal(rig_worker(pool, 0)->slot_count, 1);
    assert_int_equal(second.writes, 0);
    rig_until(rig, second.ends);
    assert_string_equal(second.text, "1"); /* it has been told */
    assert_int_equal(rig_worker(pool, 0)->slot_count, 0);
    rig_free(rig);
    assert_int_equal(first.ends, 0);
}

/* Its deadline went with the call: somebody must still notice that it never answers. */
static void a_worker_stuck_with_a_cancelled_call_is_replaced(void **state)
{
    struct job stuck, next;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    job_init(&stuck, "sleep(1000)");
    assert_null(job_submit(&stuck, pool, 150));
    call_cancel(&stuck.call, "disconnect");
    rig_linger(rig, 100);
    assert_int_equal(rig_worker(pool, 0)->life, life); /* it may work on until the deadline */
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    assert_int_not_equal(rig_worker(pool, 0)->life, life);
    rig_free(rig);
    assert_int_equal(stuck.ends, 0);
}

/* --------------------------------------------------------- a worker that dies */

struct loss {
    bool idempotent;
    unsigned status; /* of a call that kills every worker that starts it */
    unsigned writes;
};

static void what_was_started_is_tried_again_once_and_only_if_idempotent(void **state)
{
    static const struct loss cases[] = {{false, 502, 1}, {true, 502, 2}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job job;
        struct worker_config config = rig_config("a", "ready()");
        struct rig *rig = rig_new();
        struct pool *pool = rig_pool(rig, &config);
        job_init(&job, "os.kill(os.getpid(), 9)");
        job.call.idempotent = cases[i].idempotent;
        assert_null(job_submit(&job, pool, 0));
        rig_until(rig, job.ends);
        assert_int_equal(job.status, cases[i].status);
        assert_int_equal(job.writes, cases[i].writes);
        assert_non_null(strstr(job.text, "signal 9"));
        rig_free(rig);
        assert_int_equal(job.ends, 1);
    }
}

static void a_second_try_may_succeed(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_init(&job, "reply() if os.environ['NODEY_LIFE'] != '1' else os._exit(3)");
    job.call.idempotent = true;
    assert_null(job_submit(&job, pool, 0));
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 200);
    assert_int_equal(job.writes, 2);
    rig_free(rig);
}

static void second_tries_have_a_budget(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    pool->retry_budget = 0;
    job_init(&job, "os._exit(3)");
    job.call.idempotent = true;
    assert_null(job_submit(&job, pool, 0));
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 502);
    assert_int_equal(job.writes, 1);
    assert_non_null(strstr(job.text, "status 3"));
    rig_free(rig);
}

/* Eleven quick answers make it known as fast, so that calls may wait in its pipe. */
static void warm_up(struct rig *rig, struct pool *pool)
{
    struct job job;
    for (int i = 0; i < 80; i++) {
        job_send(&job, pool, "reply()");
        rig_until(rig, job.ends);
    }
}

static void what_was_not_started_survives_its_worker(void **state)
{
    struct job first, behind;
    struct worker_config config = rig_config("a", "ready(prefetch=8)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    warm_up(rig, pool);
    rig_worker(pool, 0)->pace = (struct pace){.mean_us = 10, .peak_us = 10, .samples = 100};
    job_send(&first, pool, "os._exit(3)");
    job_send(&behind, pool, "reply('served')"); /* not idempotent, and in the pipe */
    assert_int_equal(behind.writes, 1);
    rig_until(rig, behind.ends);
    assert_int_equal(first.status, 502);
    assert_int_equal(first.ends, 1);
    assert_string_equal(behind.text, "served");
    assert_int_equal(behind.writes, 2);
    rig_free(rig);
}

/* A call that a drained worker gives back must not wait for the next one to come. */
static void what_a_replaced_worker_gives_back_is_dispatched(void **state)
{
    struct job stuck, behind;
    struct worker_config config = rig_config("a", "ready(prefetch=8)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    rig_worker(pool, 0)->pace = (struct pace){.mean_us = 10, .peak_us = 10, .samples = 100};
    job_init(&stuck, "signal.signal(signal.SIGTERM, signal.SIG_IGN); sleep(1000)");
    assert_null(job_submit(&stuck, pool, 50));
    job_send(&behind, pool, "reply('served')"); /* not idempotent: it stays in the pipe */
    assert_int_equal(behind.writes, 1);
    rig_until(rig, behind.ends);
    assert_string_equal(behind.text, "served");
    assert_int_equal(behind.writes, 2);
    rig_free(rig);
}

/* ------------------------------------------------------------------- bounds */

static void the_queue_is_bounded(void **state)
{
    struct job jobs[4];
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.queue = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    for (int i = 0; i < 3; i++)
        job_send(&jobs[i], pool, "sleep(0.02); reply()");
    job_init(&jobs[3], "reply()");
    const struct call_failure *refused = job_submit(&jobs[3], pool, 0);
    assert_non_null(refused);
    assert_int_equal(refused->status, 503);
    assert_int_not_equal(refused->retry_after_s, 0);
    rig_until(rig, jobs[2].ends);
    assert_int_equal(pool->waiting, 0);
    assert_null(job_submit(&jobs[3], pool, 0));
    rig_until(rig, jobs[3].ends);
    rig_free(rig);
}

static void without_a_queue_a_free_instance_still_takes_calls(void **state)
{
    struct job first, second;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.queue = 0;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&first, pool, "sleep(0.05); reply()");
    job_init(&second, "reply()");
    assert_non_null(job_submit(&second, pool, 0));
    rig_until(rig, first.ends);
    assert_null(job_submit(&second, pool, 0));
    rig_until(rig, second.ends);
    rig_free(rig);
}

static void waiting_bytes_are_bounded(void **state)
{
    struct job first, second;
    struct worker_config config = rig_config("a", "sleep(1000)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_init(&first, "reply()");
    first.call.size = 20 << 20;
    assert_null(job_submit(&first, pool, 0));
    job_init(&second, "reply()");
    second.call.size = 20 << 20;
    assert_non_null(job_submit(&second, pool, 0));
    call_cancel(&first.call, "disconnect");
    assert_int_equal(pool->waiting_bytes, 0);
    rig_free(rig);
}

/* Each sleeps a little, so the load shows: nobody gets two while another has none. */
static void calls_go_to_the_least_loaded_instance(void **state)
{
    struct job jobs[3];
    struct worker_config config = rig_config("a", "ready(concurrency=2)");
    (void)state;
    config.instances = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 3);
    for (int i = 0; i < 3; i++)
        job_send(&jobs[i], pool, "sleep(0.01); reply()");
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_worker(pool, (unsigned)i)->slot_count, 1);
    for (int i = 0; i < 3; i++)
        rig_until(rig, jobs[i].ends);
    rig_free(rig);
}

static int tests(void)
{
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(an_answer_completes_its_call),
        cmocka_unit_test(an_error_frame_completes_its_call),
        cmocka_unit_test(a_call_times_out_in_the_queue),
        cmocka_unit_test(a_worker_that_misses_a_deadline_is_replaced),
        cmocka_unit_test(a_worker_that_answers_late_is_kept),
        cmocka_unit_test(a_second_stuck_call_is_noticed_too),
        cmocka_unit_test(a_call_cancelled_in_the_queue_is_never_written),
        cmocka_unit_test(a_cancelled_call_keeps_its_slot_until_the_answer),
        cmocka_unit_test(a_worker_stuck_with_a_cancelled_call_is_replaced),
        cmocka_unit_test(what_was_started_is_tried_again_once_and_only_if_idempotent),
        cmocka_unit_test(a_second_try_may_succeed),
        cmocka_unit_test(second_tries_have_a_budget),
        cmocka_unit_test(what_was_not_started_survives_its_worker),
        cmocka_unit_test(what_a_replaced_worker_gives_back_is_dispatched),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(without_a_queue_a_free_instance_still_takes_calls),
        cmocka_unit_test(waiting_bytes_are_bounded),
        cmocka_unit_test(calls_go_to_the_least_loaded_instance),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
