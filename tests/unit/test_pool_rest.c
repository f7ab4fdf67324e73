/* Who is started again and who is not; what a person says: stop, start, restart, scale. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static const char begin_and_stay[] = "trap 'sleep 0.1; echo end; exit 0' TERM; echo begin; "
                                     "while :; do sleep 0.01; done";

/* ---------------------------------------------------------------- restart policies */

struct ending {
    enum restart_when when;
    uint32_t most;
    const char *script;
    unsigned starts; /* at least, and if it has ended exactly, so many */
    bool ended, well;
};

static const struct ending endings[] = {
    {RESTART_NO, 0, "echo start; exit 0", 1, true, true},
    {RESTART_NO, 0, "echo start; exit 3", 1, true, false},
    {RESTART_NO, 0, "echo start; kill -9 $$", 1, true, false},
    {RESTART_ON_FAILURE, 0, "echo start; exit 0", 1, true, true},
    {RESTART_ON_FAILURE, 0, "echo start; exit 3", 4, false, false},
    {RESTART_ON_FAILURE, 0, "echo start; kill -9 $$", 4, false, false},
    {RESTART_ON_FAILURE, 2, "echo start; exit 3", 3, true, false},
    {RESTART_ON_FAILURE, 2, "echo start; kill -9 $$", 3, true, false},
    {RESTART_ALWAYS, 0, "echo start; exit 0", 4, false, false},
    {RESTART_ALWAYS, 0, "echo start; exit 3", 4, false, false},
    {RESTART_UNLESS_STOPPED, 0, "echo start; exit 0", 4, false, false},
    {RESTART_UNLESS_STOPPED, 0, "echo start; kill -9 $$", 4, false, false},
    {RESTART_ALWAYS, 0, "echo start; exit 125", 1, true, false},
    {RESTART_ON_FAILURE, 0, "echo start; exit 125", 1, true, false},
};

static void assert_ends(const struct ending *e, bool is_service)
{
    struct worker_config config = rig_service("a", e->script);
    config.is_service = is_service;
    config.restart = (struct restart_config){e->when, e->most};
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    if (e->ended)
        rig_until(rig, pool->rest == POOL_ENDED);
    else
        rig_until(rig, rig_times_wrote(rig, "start") >= e->starts);
    if (e->ended)
        rig_linger(rig, 60);
    assert_true(rig_times_wrote(rig, "start") >= e->starts);
    assert_int_equal(pool->rest == POOL_ENDED, e->ended);
    if (e->ended) {
        assert_int_equal(rig_times_wrote(rig, "start"), e->starts);
        assert_int_equal(pool->ended_well, e->well);
        assert_int_equal(pool->restarts, e->starts - 1);
        assert_int_equal(rig->settles, 1);
        assert_true(pool->has_ended);
        assert_int_equal(rig->end, END_ITSELF);
    }
    rig_free(rig);
}

static void each_policy_is_kept_after_each_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        assert_ends(&endings[i], false);
        assert_ends(&endings[i], true);
    }
}

static void what_has_ended_refuses_calls_and_says_why(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready(); sleep(0.05); os._exit(3)");
    (void)state;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, pool->rest == POOL_ENDED);
    job_init(&job, "reply()");
    const struct call_failure *refused = job_submit(&job, pool, 0);
    assert_non_null(refused);
    assert_int_equal(refused->status, 503);
    assert_string_equal(refused->text, "worker a has ended, and is not to be started again "
                                       "(exited with status 3)");
    assert_true(rig_told(rig, "it is not started again: restart = \"no\""));
    rig_free(rig);
}

static void a_call_that_waits_when_it_ends_is_refused(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "sleep(0.1); os._exit(0)");
    (void)state;
    config.restart.when = RESTART_ON_FAILURE;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "reply()");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 503);
    assert_non_null(strstr(job.text, "has done its work and ended"));
    assert_int_equal(rig->failures, 0); /* nothing has failed */
    rig_free(rig);
}

/* A frozen or stuck one was ended by nodey, whatever its status is. */
static void who_is_given_up_counts_as_failed(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.restart = (struct restart_config){RESTART_ON_FAILURE, 1};
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    rig_worker(pool, 0)->end = END_STUCK;
    worker_give_up(rig_worker(pool, 0), "the test says so");
    rig_until(rig, rig->readies == 2);
    assert_int_equal(pool->restarts, 1);
    rig_worker(pool, 0)->end = END_STUCK;
    worker_give_up(rig_worker(pool, 0), "the test says so");
    rig_until(rig, pool->rest == POOL_ENDED);
    assert_false(pool_has_process(pool)); /* and not before */
    assert_false(pool->ended_well);
    assert_true(rig_told(rig, "after 1 restarts, and restart = \"on-failure:1\""));
    rig_free(rig);
}

static void a_renewal_starts_what_has_ended(void **state)
{
    struct worker_config config = rig_service("a", "echo start");
    (void)state;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, pool->rest == POOL_ENDED);
    pool_renew(pool, "the test says so");
    assert_int_equal(pool->rest, POOL_RUNS);
    assert_int_equal(pool->trouble[0], '\0');
    rig_until(rig, pool->rest == POOL_ENDED && rig_times_wrote(rig, "start") == 2);
    rig_free(rig);
}

static void a_new_policy_starts_what_has_ended(void **state)
{
    struct worker_config config = rig_service("a", "echo start; sleep 0.05"), other;
    (void)state;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, pool->rest == POOL_ENDED);
    other = config;
    pool_configure(pool, &other); /* nothing that matters here */
    assert_int_equal(pool->rest, POOL_ENDED);
    other.restart.when = RESTART_ALWAYS;
    pool_configure(pool, &other);
    rig_until(rig, rig_times_wrote(rig, "start") >= 3);
    rig_free(rig);
}

static void who_is_ready_and_ends_all_the_time_is_flapping(void **state)
{
    struct worker_config config = rig_config("a", "ready(); sleep(0.01); os._exit(1)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, pool->restarts == 4);
    assert_false(pool_is_flapping(pool));
    rig_until(rig, pool->restarts >= 8);
    assert_true(pool_is_flapping(pool));
    assert_int_equal(rig_times_told(rig, "flapping:"), 1);
    rig_free(rig);
}

/* ------------------------------------------------------------- by a person's word */

static void who_is_stopped_finishes_and_stays_so(void **state)
{
    struct job job, late;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    job_send(&job, pool, "sleep(0.1); reply('done')");
    rig_until(rig, job.writes == 1);
    pool_hold(pool, "a person said so");
    assert_int_equal(pool->rest, POOL_HELD);
    job_init(&late, "reply()");
    const struct call_failure *refused = job_submit(&late, pool, 0);
    assert_non_null(refused);
    assert_string_equal(refused->text, "worker a is stopped: a person said so");
    rig_until(rig, job.ends && !pool_has_process(pool));
    assert_string_equal(job.text, "done");
    assert_int_equal(rig->end, END_PLANNED);
    rig_linger(rig, 60);
    assert_int_equal(pool->lives, 0);
    pool_configure(pool, &config); /* a reload changes nothing about that */
    pool_renew(pool, "its configuration changed");
    rig_linger(rig, 60);
    assert_int_equal(pool->lives, 0);
    pool_release(pool);
    rig_until(rig, rig->readies == 2);
    assert_int_equal(rig_worker(pool, 0)->generation, pool->generation);
    job_send(&late, pool, "reply('again')");
    rig_until(rig, late.ends);
    assert_string_equal(late.text, "again");
    rig_free(rig);
}

static void what_waits_is_refused_when_it_is_stopped(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "sleep(5)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "reply()");
    pool_hold(pool, "a person said so");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 503);
    rig_free(rig);
}

static void who_is_held_before_the_start_does_not_start(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = pool_new(&rig->pools, &config);
    pool_hold(pool, "it was stopped before");
    assert_int_equal(rig->settles, 0); /* nothing has begun */
    pools_start(&rig->pools);
    assert_int_equal(rig->settles, 1);
    rig_linger(rig, 60);
    assert_int_equal(pool->lives, 0);
    pool_release(pool);
    rig_until(rig, rig->readies == 1);
    rig_free(rig);
}

/* Stop and start at once: the new one still waits for the old one's end. */
static void who_is_released_while_it_ends_starts_after_that(void **state)
{
    struct worker_config config = rig_service("a", begin_and_stay);
    (void)state;
    config.stop_grace_period = 5000;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    pool_hold(pool, "a person said so");
    pool_release(pool);
    pool_hold(pool, "a person changed their mind");
    pool_release(pool);
    rig_until(rig, rig_times_wrote(rig, "begin") == 2);
    assert_int_equal(rig_times_wrote(rig, "end"), 1);
    rig_linger(rig, 60);
    assert_int_equal(pool->lives, 1);
    rig_free(rig);
}

static void a_restart_has_a_gap_and_loses_nothing(void **state)
{
    struct job job, queued;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "sleep(0.1); reply('old')");
    rig_until(rig, job.writes == 1);
    uint64_t life = pool->pools->next_life;
    pool_restart(pool, "the test says so");
    job_send(&queued, pool, "reply('new')");
    rig_linger(rig, 30);
    assert_int_equal(pool->pools->next_life, life); /* none is begun before the last ended */
    rig_until(rig, queued.ends);
    assert_string_equal(job.text, "old");
    assert_string_equal(queued.text, "new");
    rig_until(rig, rig->readies == 4);
    assert_int_equal(pool->lives, 2);
    rig_free(rig);
}

static void a_restart_ends_the_pause_after_crashes(void **state)
{
    struct worker_config config = rig_config("a", "os._exit(1)");
    (void)state;
    config.max_restarts = 1;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, !list_empty(&pool->states[WORKER_FAILED]));
    config.command = rig_config("a", "ready()").command;
    pool_restart(pool, "the test says so");
    rig_until(rig, rig->readies == 1);
    rig_free(rig);
}

static void scaling_holds_until_the_configuration_says_otherwise(void **state)
{
    struct worker_config config = rig_config("a", "ready()"), other;
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    pool_scale(pool, 3);
    rig_until(rig, rig->readies == 3);
    other = config;
    other.timeout++;
    pool_configure(pool, &other);
    rig_linger(rig, 60);
    assert_int_equal(pool->wanted, 3);
    assert_int_equal(pool->lives, 3);
    config.instances = 2;
    pool_configure(pool, &config);
    rig_until(rig, pool->lives == 2);
    assert_int_equal(pool->wanted, 2);
    pool_scale(pool, 1);
    rig_until(rig, pool->lives == 1);
    assert_int_equal(rig->end, END_PLANNED);
    rig_linger(rig, 60);
    assert_int_equal(pool->lives, 1);
    rig_free(rig);
}

static void only_one_instance_can_own_a_port(void **state)
{
    struct worker_config config = rig_service("a", "sleep 100");
    (void)state;
    config.port = 3001;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    pool_scale(pool, 4);
    assert_int_equal(pool->wanted, 1);
    assert_true(rig_told(rig, "only one can listen on port 3001"));
    config.port = PORT_AUTO;
    pool_configure(pool, &config);
    pool_scale(pool, 4);
    assert_int_equal(pool->wanted, 4);
    config.port = 3001;
    pool_configure(pool, &config);
    assert_int_equal(pool->wanted, 1);
    rig_free(rig);
}

static void a_signal_reaches_each_process(void **state)
{
    struct worker_config config =
        rig_service("a", "trap 'echo got it' USR1; echo begin; while :; do sleep 0.01; done");
    (void)state;
    config.instances = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    assert_int_equal(pool_signal(pool, SIGUSR1), 0);
    rig_until(rig, rig_times_wrote(rig, "begin") == 3);
    assert_int_equal(pool_signal(pool, SIGUSR1), 3);
    rig_until(rig, rig_times_wrote(rig, "got it") == 3);
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(each_policy_is_kept_after_each_end),
        cmocka_unit_test(what_has_ended_refuses_calls_and_says_why),
        cmocka_unit_test(a_call_that_waits_when_it_ends_is_refused),
        cmocka_unit_test(who_is_given_up_counts_as_failed),
        cmocka_unit_test(a_renewal_starts_what_has_ended),
        cmocka_unit_test(a_new_policy_starts_what_has_ended),
        cmocka_unit_test(who_is_ready_and_ends_all_the_time_is_flapping),
        cmocka_unit_test(who_is_stopped_finishes_and_stays_so),
        cmocka_unit_test(what_waits_is_refused_when_it_is_stopped),
        cmocka_unit_test(who_is_held_before_the_start_does_not_start),
        cmocka_unit_test(who_is_released_while_it_ends_starts_after_that),
        cmocka_unit_test(a_restart_has_a_gap_and_loses_nothing),
        cmocka_unit_test(a_restart_ends_the_pause_after_crashes),
        cmocka_unit_test(scaling_holds_until_the_configuration_says_otherwise),
        cmocka_unit_test(only_one_instance_can_own_a_port),
        cmocka_unit_test(a_signal_reaches_each_process),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
