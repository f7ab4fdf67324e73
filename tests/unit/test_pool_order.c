/* What starts after what, who goes on waiting, and the way down. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static const char stay[] =
    "exec 2>/dev/null; trap 'sleep 0.05; echo end; exit 0' TERM; echo begin; "
    "while :; do sleep 0.01; done";

static struct worker_config service(const char *name, const char *script)
{
    struct worker_config config = rig_service(name, script);
    config.stop_grace_period = 5000;
    return config;
}

/* `config` waits for one other. */
static void wait_for(struct worker_config *config, struct dependency *d, const char *name,
                     enum dependency_condition condition)
{
    *d = (struct dependency){.name = name, .condition = (int)condition, .required = true};
    config->depends_on = (struct dependency_list){d, 1};
}

static void start(struct rig *rig, struct pool **pools, const struct worker_config *configs,
                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        pools[i] = pool_new(&rig->pools, &configs[i]);
    pools_start(&rig->pools);
}

static void it_starts_when_the_other_runs(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {service("b", stay),
                                      rig_config("a", "sleep(0.1); ready()")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_STARTED);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    assert_int_equal(pools[0]->rest, POOL_WAITS);
    assert_string_equal(pools[0]->waits_for, "a");
    assert_true(rig_told(rig, "b: waits until a has started"));
    rig_until(rig, pool_has_process(pools[0]));
    assert_true(pool_has_process(pools[1]));
    assert_false(pool_serves(pools[1]));
    assert_int_equal(pools[0]->rest, POOL_RUNS);
    assert_null(pools[0]->waits_for);
    rig_free(rig);
}

static void it_starts_when_the_other_is_ready(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {service("b", stay),
                                      rig_config("a", "sleep(0.2); ready()")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    rig_until(rig, pool_has_process(pools[1]));
    rig_linger(rig, 60);
    assert_int_equal(pools[0]->lives, 0);
    rig_until(rig, pool_serves(pools[0]));
    assert_true(pool_serves(pools[1]));
    assert_true(pools_settled(&rig->pools));
    rig_free(rig);
}

static void it_starts_when_the_other_has_completed(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {service("b", stay), service("a", "sleep 0.2; echo done")};
    (void)state;
    configs[1].restart.when = RESTART_ON_FAILURE;
    wait_for(&configs[0], &d, "a", DEPENDENCY_COMPLETED);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    rig_until(rig, pool_serves(pools[1]));
    rig_linger(rig, 60);
    assert_int_equal(pools[0]->lives, 0);
    assert_false(pools_settled(&rig->pools)); /* a migration holds up the port */
    rig_until(rig, rig_wrote(rig, "done\nb#0 stdout: begin"));
    rig_free(rig);
}

static void what_fails_is_told_once_and_may_be_mended(void **state)
{
    struct job job;
    struct dependency d, e;
    struct pool *pools[3];
    struct worker_config configs[] = {rig_config("c", "ready()"), rig_config("b", "ready()"),
                                      service("a", "exit 4")};
    (void)state;
    configs[2].restart.when = RESTART_NO;
    wait_for(&configs[0], &d, "b", DEPENDENCY_HEALTHY);
    wait_for(&configs[1], &e, "a", DEPENDENCY_COMPLETED);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 3);
    rig_until(rig, pools_settled(&rig->pools));
    rig_linger(rig, 60);
    const char *told = "b: it is not started: it waits until a has completed: service a has "
                       "ended, and is not to be started again (exited with status 4)";
    assert_int_equal(rig_times_told(rig, told), 1);
    assert_int_equal(rig_times_told(rig, "c: it is not started: it waits until b is ready"), 1);
    assert_int_equal(pools[0]->rest, POOL_WAITS);
    job_init(&job, "reply()");
    const struct call_failure *refused = job_submit(&job, pools[1], 0);
    assert_non_null(refused);
    assert_int_equal(refused->status, 503);
    assert_non_null(strstr(refused->text, "exited with status 4"));
    configs[2].command = rig_service("a", "exit 0").command;
    pool_restart(pools[2], "somebody mended it");
    rig_until(rig, pool_serves(pools[0]));
    assert_true(pool_serves(pools[1]));
    rig_free(rig);
}

static void who_does_not_start_is_no_longer_waited_for_by_all(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {rig_config("b", "ready()"),
                                      rig_config("a", "os._exit(1)")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    rig_until(rig, pools_settled(&rig->pools));
    assert_int_equal(pools[0]->rest, POOL_WAITS); /* it waits, and the port does not */
    rig_until(rig, rig_told(rig, "b: it is not started: it waits until a is ready: worker a "
                                 "does not start: exited with status 1"));
    rig_free(rig);
}

static void what_is_not_required_is_not_waited_for(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {rig_config("b", "ready()"), service("a", "exit 1")};
    (void)state;
    configs[1].restart.when = RESTART_NO;
    wait_for(&configs[0], &d, "a", DEPENDENCY_COMPLETED);
    d.required = false;
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    assert_int_equal(pools[0]->rest, POOL_WAITS); /* as long as there is hope */
    rig_until(rig, pool_serves(pools[0]));
    assert_int_equal(pools[1]->rest, POOL_ENDED);
    rig_free(rig);
}

static void a_person_may_start_what_waits(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {rig_config("b", "ready()"), rig_config("a", "sleep(9)")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    pool_release(pools[0]);
    rig_until(rig, pool_serves(pools[0]));
    rig_free(rig);
}

static void who_waits_for_what_is_stopped_starts_with_it(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {rig_config("b", "ready()"), rig_config("a", "ready()")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    for (size_t i = 0; i < 2; i++)
        pools[i] = pool_new(&rig->pools, &configs[i]);
    pool_hold(pools[1], "it was stopped before");
    pools_start(&rig->pools);
    rig_until(rig, rig_told(rig, "b: it is not started: it waits until a is ready: worker a is "
                                 "stopped: it was stopped before"));
    pool_release(pools[1]);
    rig_until(rig, pool_serves(pools[0]));
    rig_free(rig);
}

/* --------------------------------------------------------------------------- profiles */

static const char *words[] = {"debug", NULL};

static void only_those_of_a_wanted_profile_start(void **state)
{
    struct pool *pools[3];
    struct worker_config configs[] = {service("a", stay), service("b", stay),
                                      service("c", stay)};
    static const char *other[] = {"test", NULL};
    (void)state;
    configs[1].profiles = (struct string_list){words, 1};
    configs[2].profiles = (struct string_list){other, 1};
    struct rig *rig = rig_new();
    rig->pools.profiles = (struct string_list){words, 1};
    start(rig, pools, configs, 3);
    rig_until(rig, pools_settled(&rig->pools));
    rig_linger(rig, 60);
    assert_int_equal(pools[0]->rest, POOL_RUNS);
    assert_int_equal(pools[1]->rest, POOL_RUNS);
    assert_int_equal(pools[2]->rest, POOL_DORMANT);
    assert_int_equal(pools[2]->lives, 0);
    pool_release(pools[2]);
    rig_until(rig, pool_serves(pools[2]));
    rig_free(rig);
}

static void all_profiles_are_a_star(void **state)
{
    struct pool *pool;
    static const char *star[] = {"*", NULL};
    struct worker_config config = service("a", stay);
    (void)state;
    config.profiles = (struct string_list){words, 1};
    struct rig *rig = rig_new();
    rig->pools.profiles = (struct string_list){star, 1};
    start(rig, &pool, &config, 1);
    rig_until(rig, pool_serves(pool));
    rig_free(rig);
}

static void what_is_needed_starts_without_its_profile(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {service("a", stay), service("b", stay)};
    (void)state;
    configs[0].profiles = (struct string_list){words, 1};
    wait_for(&configs[1], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    rig_until(rig, pool_serves(pools[1]));
    assert_true(pool_serves(pools[0]));
    rig_free(rig);
}

static void those_that_are_named_start_with_what_they_need(void **state)
{
    struct dependency d;
    struct pool *pools[3];
    static const char *named[] = {"b", NULL};
    struct worker_config configs[] = {service("a", stay), service("b", stay),
                                      service("c", stay)};
    (void)state;
    wait_for(&configs[1], &d, "a", DEPENDENCY_STARTED);
    struct rig *rig = rig_new();
    rig->pools.only = (struct string_list){named, 1};
    start(rig, pools, configs, 3);
    rig_until(rig, pool_serves(pools[1]) && pools_settled(&rig->pools));
    assert_true(pool_serves(pools[0]));
    assert_int_equal(pools[2]->rest, POOL_DORMANT);
    rig_free(rig);
}

/* ---------------------------------------------------------------------------- restarts */

static void a_restart_takes_those_along_who_want_it(void **state)
{
    struct dependency d, e;
    struct pool *pools[3];
    struct worker_config configs[] = {service("a", stay), service("b", stay),
                                      service("c", stay)};
    (void)state;
    wait_for(&configs[1], &d, "a", DEPENDENCY_HEALTHY);
    wait_for(&configs[2], &e, "a", DEPENDENCY_HEALTHY);
    d.restart = true;
    struct rig *rig = rig_new();
    start(rig, pools, configs, 3);
    rig_until(rig, rig_times_wrote(rig, "begin") == 3);
    uint64_t life = rig_worker(pools[2], 0)->life;
    pool_restart(pools[0], "the test says so");
    rig_until(rig, rig_times_wrote(rig, "begin") == 5);
    assert_int_equal(rig_times_wrote(rig, "b#0 stdout: begin"), 2);
    assert_int_equal(rig_worker(pools[2], 0)->life, life);
    rig_free(rig);
}

/* ------------------------------------------------------------------------ the way down */

static void who_depends_stops_before_what_it_depends_on(void **state)
{
    struct dependency d, e;
    struct pool *pools[3];
    struct worker_config configs[] = {service("a", stay), service("b", stay),
                                      service("c", stay)};
    (void)state;
    wait_for(&configs[1], &d, "a", DEPENDENCY_HEALTHY);
    wait_for(&configs[2], &e, "b", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 3);
    rig_until(rig, rig_times_wrote(rig, "begin") == 3);
    pools_stop(&rig->pools, 20000);
    rig_until(rig, rig->stops > 0);
    assert_true(rig_wrote(rig, "c#0 stdout: end\nb#0 stdout: end\na#0 stdout: end\n"));
    rig_free(rig);
}

static void nobody_waits_for_ever_on_the_way_down(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {
        service("a", stay),
        service("b", "trap 'echo no' TERM; echo begin; while :; do sleep 0.01; done")};
    (void)state;
    configs[1].stop_grace_period = 60000;
    wait_for(&configs[1], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    rig_until(rig, rig_times_wrote(rig, "begin") == 2);
    pools_stop(&rig->pools, 200);
    rig_until(rig, rig_wrote(rig, "b#0 stdout: no"));
    assert_false(rig_wrote(rig, "a#0 stdout: end"));
    rig_until(rig, rig_wrote(rig, "a#0 stdout: end"));
    pools_kill(&rig->pools);
    rig_free(rig);
}

static void who_waits_is_let_go_by_a_reload(void **state)
{
    struct dependency d;
    struct pool *pools[2];
    struct worker_config configs[] = {rig_config("b", "ready()"), rig_config("a", "sleep(9)")};
    (void)state;
    wait_for(&configs[0], &d, "a", DEPENDENCY_HEALTHY);
    struct rig *rig = rig_new();
    start(rig, pools, configs, 2);
    struct worker_config free_of_it = configs[0];
    free_of_it.depends_on.count = 0;
    pool_configure(pools[0], &free_of_it);
    assert_int_equal(pools[0]->rest, POOL_RUNS);
    rig_until(rig, pool_serves(pools[0]));
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(it_starts_when_the_other_runs),
        cmocka_unit_test(it_starts_when_the_other_is_ready),
        cmocka_unit_test(it_starts_when_the_other_has_completed),
        cmocka_unit_test(what_fails_is_told_once_and_may_be_mended),
        cmocka_unit_test(who_does_not_start_is_no_longer_waited_for_by_all),
        cmocka_unit_test(what_is_not_required_is_not_waited_for),
        cmocka_unit_test(a_person_may_start_what_waits),
        cmocka_unit_test(who_waits_for_what_is_stopped_starts_with_it),
        cmocka_unit_test(only_those_of_a_wanted_profile_start),
        cmocka_unit_test(all_profiles_are_a_star),
        cmocka_unit_test(what_is_needed_starts_without_its_profile),
        cmocka_unit_test(those_that_are_named_start_with_what_they_need),
        cmocka_unit_test(a_restart_takes_those_along_who_want_it),
        cmocka_unit_test(who_depends_stops_before_what_it_depends_on),
        cmocka_unit_test(nobody_waits_for_ever_on_the_way_down),
        cmocka_unit_test(who_waits_is_let_go_by_a_reload),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
