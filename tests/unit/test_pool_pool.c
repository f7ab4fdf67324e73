/* The life of a pool's instances: how they start, crash, are replaced, and end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

/* Workers in all states but the last. */
static size_t workers_of(const struct pool *pool)
{
    size_t count = 0;
    for (int state = 0; state < WORKER_STOPPED; state++)
        count += list_count(&pool->states[state]);
    return count;
}

static void the_first_instance_goes_ahead(void **state)
{
    struct worker_config config = rig_config("a", "sleep(0.1); ready()");
    (void)state;
    config.instances = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_linger(rig, 20);
    assert_int_equal(workers_of(pool), 1);
    assert_false(pools_settled(&rig->pools));
    assert_null(pool_declaration(pool));
    rig_until(rig, rig->readies == 3);
    assert_int_equal(workers_of(pool), 3);
    assert_true(pools_settled(&rig->pools));
    assert_int_equal(rig->settles, 1);
    assert_non_null(pool_declaration(pool));
    rig_free(rig);
}

static void a_pool_is_found_by_its_name(void **state)
{
    struct worker_config a = rig_config("a", ""), b = rig_config("b", "");
    (void)state;
    struct rig *rig = rig_new();
    pool_new(&rig->pools, &a);
    struct pool *pool = pool_new(&rig->pools, &b);
    assert_ptr_equal(pools_find(&rig->pools, SLICE("b")), pool);
    assert_null(pools_find(&rig->pools, SLICE("c")));
    rig_free(rig);
}

/* ------------------------------------------------------------------ crashes */

static void an_instance_that_crashes_is_started_again(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    kill(rig_worker(pool, 1)->proc.pid, SIGSEGV);
    rig_until(rig, rig->readies == 3);
    assert_int_equal(workers_of(pool), 2);
    assert_true(rig_told(rig, "a#1: "));
    assert_true(rig_told(rig, "killed by signal 11"));
    assert_true(rig_told(rig, "restarting in"));
    job_send(&job, pool, "reply()");
    rig_until(rig, job.ends);
    rig_free(rig);
}

static void who_crashes_again_and_again_has_failed(void **state)
{
    struct job waits, later;
    struct worker_config config = rig_config(
        "a",
        "put('{\"type\":\"error\",\"id\":null,\"message\":\"no database\"}'); os._exit(1)");
    (void)state;
    config.max_restarts = 4;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&waits, pool, "reply()");
    rig_until(rig, waits.ends); /* after the third crash nobody waits any more */
    assert_int_equal(waits.status, 503);
    assert_non_null(strstr(waits.text, "no database"));
    assert_true(pools_settled(&rig->pools));
    rig_until(rig, rig_worker(pool, 0)->state == WORKER_FAILED);
    assert_true(rig_told(rig, "failed: 4 crashes in a row"));
    job_init(&later, "reply()");
    const struct call_failure *refused = job_submit(&later, pool, 0);
    assert_non_null(refused);
    assert_int_equal(refused->status, 503);
    assert_non_null(strstr(refused->text, "no database"));
    rig_free(rig);
    assert_int_equal(waits.ends, 1);
    assert_int_equal(later.ends, 0);
}

/* Also when that is sooner than others would be given up. */
static void who_may_crash_but_once_has_failed_at_once(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "os._exit(1)");
    (void)state;
    config.max_restarts = 1;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "reply()");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 503);
    assert_int_equal(rig_worker(pool, 0)->state, WORKER_FAILED);
    assert_true(pools_settled(&rig->pools));
    job_init(&job, "reply()");
    assert_non_null(job_submit(&job, pool, 0));
    rig_free(rig);
}

static void who_has_failed_is_tried_again_later(void **state)
{
    struct job job;
    struct worker_config config =
        rig_config("a", "ready() if int(os.environ['NODEY_LIFE']) > 3 else os._exit(1)");
    (void)state;
    config.max_restarts = 3;
    config.failed_retry = 50;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_told(rig, "failed: 3 crashes"));
    rig_until(rig, rig->readies);
    job_send(&job, pool, "reply()");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 200);
    rig_free(rig);
}

static void who_does_not_become_ready_in_time_is_killed(void **state)
{
    struct worker_config config =
        rig_config("a", "ready() if os.environ['NODEY_LIFE'] == '2' else sleep(1000)");
    (void)state;
    config.start_timeout = 500;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_int_equal(rig_worker(pool, 0)->life, 2);
    assert_true(rig_told(rig, "not ready within 500 ms"));
    rig_free(rig);
}

static void a_command_that_does_not_exist_is_said_to(void **state)
{
    static const char *argv[] = {"/nonexistent/program", NULL};
    struct worker_config config = rig_command("a", argv);
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->settles);
    assert_true(rig_wrote(rig, "cannot run /nonexistent/program"));
    assert_non_null(strstr(pool->trouble, "/nonexistent/program"));
    rig_free(rig);
}

/* Not by how its pipes ended, which happens on the way. */
static void a_start_that_fails_is_explained_by_its_last_words(void **state)
{
    struct worker_config config =
        rig_config("a", "print('no module named x', file=sys.stderr, flush=True); os._exit(4)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->settles);
    assert_string_equal(pool->trouble, "worker a does not start: no module named x");
    assert_true(rig_told(rig, "a#0: exited with status 4; restarting in"));
    rig_free(rig);
}

static void another_protocol_version_is_refused(void **state)
{
    struct worker_config config = rig_config("a", "ready(protocol=2); sleep(1000)");
    (void)state;
    struct rig *rig = rig_new();
    rig_pool(rig, &config);
    rig_until(rig, rig->settles);
    assert_int_equal(rig->readies, 0);
    rig_free(rig);
}

static void who_closes_its_output_is_started_again(void **state)
{
    struct worker_config config =
        rig_config("a", "ready()\n"
                        "if os.environ['NODEY_LIFE'] == '1':\n"
                        "    sleep(0.05); os.close(1); os.close(3); sleep(1000)\n");
    (void)state;
    struct rig *rig = rig_new();
    rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    assert_true(rig_told(rig, "closed its protocol output"));
    rig_free(rig);
}

/* --------------------------------------------------------------- replacement */

/* At no moment is the pool without an instance that is ready. */
static void max_requests_replaces_an_instance_without_a_gap(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "sleep(0.05); ready()");
    (void)state;
    config.max_requests = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    for (int i = 0; i < 20 || rig->readies < 3; i++) {
        assert_true(list_count(&pool->states[WORKER_READY]) >= 1);
        job_send(&job, pool, "reply()");
        assert_int_equal(job.writes, 1);
        rig_until(rig, job.ends);
        assert_int_equal(job.status, 200);
    }
    rig_until(rig, workers_of(pool) == 1); /* the old ones have ended */
    rig_free(rig);
}

static void ttl_replaces_an_idle_instance(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.ttl = 50;
    struct rig *rig = rig_new();
    rig_pool(rig, &config);
    rig_until(rig, rig->readies >= 3);
    assert_true(rig_told(rig, "its ttl is over"));
    assert_false(rig_told(rig, "restarting"));
    rig_free(rig);
}

static void a_worker_may_ask_to_be_replaced_and_finishes_its_work(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready(features=['drain'])");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "put('{\"type\":\"drain\"}'); sleep(2); reply('done')");
    rig_until(rig, rig->readies == 2); /* a life lasts a second at least */
    assert_int_equal(job.ends, 0);
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "done");
    rig_until(rig, workers_of(pool) == 1);
    rig_free(rig);
}

/* The replacement crashes a few times; the old one serves on. */
static void a_replacement_that_crashes_takes_nothing_down(void **state)
{
    struct job job;
    struct worker_config config = rig_config(
        "a", "os._exit(1) if os.environ['NODEY_LIFE'] in ('2', '3', '4', '5') else ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    pool_replace_later(rig_worker(pool, 0), "a test");
    while (rig->readies < 2) {
        job_send(&job, pool, "reply()");
        rig_until(rig, job.ends);
        assert_int_equal(job.status, 200);
    }
    assert_int_equal(rig_worker(pool, 0)->life, 6);
    rig_until(rig, workers_of(pool) == 1);
    rig_free(rig);
}

/* The old one dies, and before all that it wrote is read its replacement is ready. */
static void an_instance_that_dies_as_it_is_replaced_leaves_one_successor(void **state)
{
    struct worker_config config =
        rig_config("a", "ready() if os.environ['NODEY_LIFE'] != '1' else "
                        "[os.system('sleep 1000 &'), ready()]");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    struct worker *old = rig_worker(pool, 0);
    pid_t group = old->proc.pid;
    /* The shell's child holds the pipe, so that `exited` comes a moment after the end. */
    kill(group, SIGKILL);
    while (!old->proc.reaped)
        rig_linger(rig, 1);
    assert_int_equal(old->state, WORKER_READY);
    pool_replace_now(old);
    rig_until(rig, rig->readies == 2);
    rig_linger(rig, 100);
    assert_int_equal(workers_of(pool), 1);
    assert_int_equal(rig_worker(pool, 0)->life, 2);
    kill(-group, SIGKILL);
    rig_free(rig);
}

/* -------------------------------------------------------------------- the end */

static void stopping_lets_calls_finish_and_fails_those_that_wait(void **state)
{
    struct job running, waiting, late;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&running, pool, "sleep(0.1); reply('finished')");
    job_send(&waiting, pool, "reply()");
    pools_stop(&rig->pools, 20000);
    assert_int_equal(waiting.status, 503);
    job_init(&late, "reply()");
    assert_non_null(job_submit(&late, pool, 0));
    rig_until(rig, rig->stops);
    assert_string_equal(running.text, "finished");
    assert_int_equal(running.ends, 1);
    assert_int_equal(waiting.ends, 1);
    rig_free(rig);
}

/* Neither the end of its input nor SIGTERM moves it. */
static void stopping_is_limited_in_time(void **state)
{
    struct job stuck;
    struct worker_config config =
        rig_config("a", "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&stuck, pool, "sleep(1000)");
    pools_stop(&rig->pools, 50);
    rig_until(rig, rig->stops);
    assert_int_equal(stuck.ends, 1);
    assert_int_equal(stuck.status, 502);
    assert_true(rig_told(rig, "did not end within 200 ms of SIGTERM"));
    rig_free(rig);
}

/* What it works on has been given up: the end need not wait for that. */
static void stopping_waits_for_no_answer_that_nobody_wants(void **state)
{
    struct job stuck;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.kill_after = 500;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_init(&stuck, "sleep(1000)");
    assert_null(job_submit(&stuck, pool, 50));
    rig_until(rig, stuck.ends);
    pools_stop(&rig->pools, 600000);
    rig_until(rig, rig->stops);
    rig_free(rig);
}

/* One waits for its restart, one starts, one has failed, one works, one idles. */
static struct rig *in_every_state(struct job *job)
{
    static struct worker_config configs[5];
    configs[0] = rig_config("backoff", "os._exit(1)");
    configs[0].backoff_min = configs[0].backoff_max = 60000;
    configs[1] = rig_config("starting", "sleep(1000)");
    configs[2] = rig_config("failed", "os._exit(1)");
    configs[2].max_restarts = 1;
    configs[3] = rig_config("busy", "ready()");
    configs[4] = rig_config("ready", "ready()");
    struct rig *rig = rig_new();
    struct pool *pools[5];
    for (int i = 0; i < 5; i++)
        pools[i] = rig_pool(rig, &configs[i]);
    rig_until(rig, rig->readies == 2 && rig_told(rig, "backoff#0: exited") &&
                       rig_told(rig, "failed#0: failed"));
    job_send(job, pools[3], "sleep(1000)");
    assert_int_equal(rig_worker(pools[0], 0)->state, WORKER_BACKOFF);
    assert_int_equal(rig_worker(pools[1], 0)->state, WORKER_STARTING);
    assert_int_equal(rig_worker(pools[2], 0)->state, WORKER_FAILED);
    assert_int_equal(rig_worker(pools[3], 0)->state, WORKER_BUSY);
    assert_int_equal(rig_worker(pools[4], 0)->state, WORKER_READY);
    return rig;
}

static void stopping_ends_workers_in_every_state(void **state)
{
    struct job job;
    (void)state;
    struct rig *rig = in_every_state(&job);
    pools_stop(&rig->pools, 50);
    rig_until(rig, rig->stops);
    assert_int_equal(job.ends, 1);
    rig_free(rig);
}

static void killing_ends_workers_in_every_state(void **state)
{
    struct job job;
    (void)state;
    struct rig *rig = in_every_state(&job);
    pools_kill(&rig->pools);
    rig_until(rig, rig->stops);
    assert_int_equal(job.ends, 1);
    rig_free(rig);
}

static void killing_after_stopping_ends_it_sooner(void **state)
{
    struct job job;
    (void)state;
    struct rig *rig = in_every_state(&job);
    pools_stop(&rig->pools, 600000);
    rig_linger(rig, 20);
    assert_int_equal(rig->stops, 0);
    pools_kill(&rig->pools);
    rig_until(rig, rig->stops);
    assert_int_equal(job.ends, 1);
    rig_free(rig);
}

/* A child that has not come to make its process group yet is killed all the same. */
static void a_process_is_killed_in_its_first_moment(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct rig *rig = rig_new();
        struct pool *pool = rig_pool(rig, &config);
        rig_until(rig, rig_worker(pool, 0)->spawned);
        pools_kill(&rig->pools);
        rig_until(rig, rig->stops);
        rig_free(rig);
    }
}

static void pools_that_never_started_stop_too(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    pool_new(&rig->pools, &config);
    pools_stop(&rig->pools, 1000);
    assert_int_equal(rig->stops, 0); /* not from within */
    rig_until(rig, rig->stops);
    rig_free(rig);
}

static void the_environment_says_who_the_worker_is(void **state)
{
    static const char *own[] = {"PATH=/bin:/usr/bin:/usr/local/bin", "NODEY_TEST=yes", NULL};
    struct job job;
    struct worker_config config = rig_config("who", "ready()");
    (void)state;
    config.env = (struct string_list){own, 2};
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool,
             "reply(' '.join(os.environ[name] for name in ('NODEY', 'NODEY_PROTOCOL',"
             "'NODEY_FD', 'NODEY_WORKER', 'NODEY_INSTANCE', 'NODEY_LIFE',"
             "'NODEY_MAX_LINE', 'NODEY_TEST', 'PATH')) + str('NODEY_DEV' in os.environ))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text,
                        "1 1 3 who 0 1 1048576 yes /bin:/usr/bin:/usr/local/binFalse");
    rig_free(rig);
}

static int tests(void)
{
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(the_first_instance_goes_ahead),
        cmocka_unit_test(a_pool_is_found_by_its_name),
        cmocka_unit_test(an_instance_that_crashes_is_started_again),
        cmocka_unit_test(who_crashes_again_and_again_has_failed),
        cmocka_unit_test(who_may_crash_but_once_has_failed_at_once),
        cmocka_unit_test(who_has_failed_is_tried_again_later),
        cmocka_unit_test(who_does_not_become_ready_in_time_is_killed),
        cmocka_unit_test(a_command_that_does_not_exist_is_said_to),
        cmocka_unit_test(a_start_that_fails_is_explained_by_its_last_words),
        cmocka_unit_test(another_protocol_version_is_refused),
        cmocka_unit_test(who_closes_its_output_is_started_again),
        cmocka_unit_test(max_requests_replaces_an_instance_without_a_gap),
        cmocka_unit_test(ttl_replaces_an_idle_instance),
        cmocka_unit_test(a_worker_may_ask_to_be_replaced_and_finishes_its_work),
        cmocka_unit_test(a_replacement_that_crashes_takes_nothing_down),
        cmocka_unit_test(an_instance_that_dies_as_it_is_replaced_leaves_one_successor),
        cmocka_unit_test(stopping_lets_calls_finish_and_fails_those_that_wait),
        cmocka_unit_test(stopping_is_limited_in_time),
        cmocka_unit_test(stopping_waits_for_no_answer_that_nobody_wants),
        cmocka_unit_test(stopping_ends_workers_in_every_state),
        cmocka_unit_test(killing_ends_workers_in_every_state),
        cmocka_unit_test(killing_after_stopping_ends_it_sooner),
        cmocka_unit_test(a_process_is_killed_in_its_first_moment),
        cmocka_unit_test(pools_that_never_started_stop_too),
        cmocka_unit_test(the_environment_says_who_the_worker_is),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
