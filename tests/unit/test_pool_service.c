/* Services: when they are ready, unhealthy and replaced; their port, output and end. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static const char stay[] =
    "exec 2>/dev/null; trap 'echo end; exit 0' TERM; echo begin; while :; do sleep 0.01; "
    "done";

/* ------------------------------------------------------------------------- a prober */

/* A check of the test's: it says what the test wants, a moment after it began. */
struct probe {
    struct timer timer;
    struct worker *worker;
    void (*done)(struct worker *, bool, const char *);
};

struct checks {
    struct prober prober;
    struct loop *loop;
    bool well;
    bool silent;
    const struct worker *ill; /* whatever the others are */
    uint64_t takes_ms;
    unsigned begun, ended, cancelled;
};

static struct checks checks;

static void on_probe(struct timer *timer)
{
    struct probe *p = container_of(timer, struct probe, timer);
    struct probe copy = *p;
    xfree(p);
    checks.ended++;
    bool well = checks.well && copy.worker != checks.ill;
    copy.worker->silent = checks.silent && !well;
    copy.done(copy.worker, well, well ? "" : "GET /health answered 500");
}

static struct probe *start_probe(struct prober *prober, struct worker *w,
                                 void (*done)(struct worker *, bool, const char *))
{
    struct probe *p = xcalloc(1, sizeof(*p));
    assert_ptr_equal(prober, &checks.prober);
    p->worker = w;
    p->done = done;
    checks.begun++;
    timer_start(checks.loop, &p->timer, checks.takes_ms, on_probe);
    return p;
}

static void cancel_probe(struct prober *prober, struct probe *p)
{
    (void)prober;
    timer_stop(checks.loop, &p->timer);
    xfree(p);
    checks.cancelled++;
}

static struct rig *rig_with_checks(bool well)
{
    struct rig *rig = rig_new();
    checks = (struct checks){
        .prober = {start_probe, cancel_probe}, .loop = &rig->loop, .well = well, .takes_ms = 2};
    rig->pools.prober = &checks.prober;
    return rig;
}

static struct worker_config checked(const char *name, const char *script)
{
    struct worker_config config = rig_service(name, script);
    config.port = PORT_AUTO;
    config.healthcheck = (struct healthcheck_config){.path = "/health",
                                                     .interval = 100,
                                                     .timeout = 100,
                                                     .retries = 2,
                                                     .start_interval = 100};
    return config;
}

/* ---------------------------------------------------------------------- becoming ready */

static void it_is_ready_when_its_check_succeeds(void **state)
{
    struct worker_config config = checked("a", stay);
    (void)state;
    struct rig *rig = rig_with_checks(false);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, checks.ended == 3); /* more than `retries`, which do not count yet */
    assert_int_equal(rig->readies, 0);
    assert_int_equal(rig_worker(pool, 0)->state, WORKER_STARTING);
    assert_string_equal(rig_worker(pool, 0)->unwell, "GET /health answered 500");
    checks.well = true;
    rig_until(rig, rig->readies == 1);
    assert_int_equal(rig_worker(pool, 0)->state, WORKER_READY);
    assert_string_equal(rig_worker(pool, 0)->unwell, "");
    assert_int_equal(rig->settles, 1);
    rig_free(rig);
}

static void without_a_check_it_is_ready_when_it_has_run_for_a_second(void **state)
{
    struct worker_config config = rig_service("a", stay);
    (void)state;
    config.start_timeout = 300; /* it is not its start that takes so long */
    struct rig *rig = rig_with_checks(false);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    struct worker *w = rig_worker(pool, 0);
    assert_true(w->ready_ms - w->started_ms >= 1000);
    rig_linger(rig, 150);
    assert_int_equal(checks.begun, 0);
    rig_free(rig);
}

static void without_a_check_a_crash_loop_is_never_ready(void **state)
{
    struct worker_config config = rig_service("a", "sleep 0.02; echo broken >&2; exit 1");
    (void)state;
    config.backoff_min = config.backoff_max = 5;
    config.max_restarts = 4;
    struct rig *rig = rig_with_checks(false);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_told(rig, "failed: 4 crashes in a row"));
    assert_int_equal(rig->readies, 0);
    assert_int_equal(list_count(&pool->states[WORKER_FAILED]), 1);
    assert_false(pool->flapping);
    assert_string_equal(pool->trouble, "service a does not start: broken");
    rig_free(rig);
}

static void the_check_of_its_port_ends_when_it_is_ready(void **state)
{
    struct worker_config config = rig_service("a", stay);
    (void)state;
    config.port = PORT_AUTO;
    config.healthcheck = (struct healthcheck_config){.interval = 100, .start_interval = 100};
    struct rig *rig = rig_with_checks(true);
    rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    rig_linger(rig, 250);
    assert_int_equal(checks.begun, 1); /* nobody asked for more */
    rig_free(rig);
}

static void who_is_not_well_in_time_is_ended_and_told(void **state)
{
    struct worker_config config = checked("a", stay);
    (void)state;
    config.start_timeout = 100;
    config.healthcheck.start_period = 200;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_with_checks(false);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, pool->rest == POOL_ENDED);
    assert_true(rig_told(rig, "it was not well within 200 ms: GET /health answered 500"));
    assert_int_equal(rig->end, END_START);
    assert_true(rig_wrote(rig, "end")); /* it was asked to, and not just killed */
    assert_int_equal(rig->failures, 1);
    assert_false(pool->ended_well);
    rig_free(rig);
}

/* ------------------------------------------------------------------------ being unwell */

static void one_failure_is_not_enough(void **state)
{
    struct worker_config config = checked("a", stay);
    (void)state;
    struct rig *rig = rig_with_checks(true);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    for (int i = 0; i < 3; i++) {
        unsigned before = checks.ended;
        checks.well = false;
        rig_until(rig, checks.ended == before + 1);
        checks.well = true;
        rig_until(rig, checks.ended == before + 2);
    }
    assert_int_equal(rig_worker(pool, 0)->state, WORKER_READY);
    assert_int_equal(pool->pools->next_life, 1);
    rig_free(rig);
}

static void with_a_port_of_its_own_a_successor_is_ready_first(void **state)
{
    struct worker_config config = checked("a", stay);
    (void)state;
    struct rig *rig = rig_with_checks(true);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    struct worker *old = rig_worker(pool, 0);
    checks.well = false;
    rig_until(rig, old->state == WORKER_UNHEALTHY);
    assert_true(
        rig_told(rig, "unhealthy: GET /health answered 500 (2 checks in a row failed)"));
    rig_until(rig, pool->instances[0].next && pool->instances[0].next->spawned);
    assert_int_equal(rig->ends, 0); /* it still runs */
    checks.well = true;
    rig_until(rig, rig->ends == 1);
    assert_int_equal(rig->readies, 2);
    assert_int_equal(rig->end, END_FROZEN);
    assert_int_equal(pool->restarts, 1);
    assert_ptr_not_equal(rig_worker(pool, 0), old);
    rig_free(rig);
}

static void with_a_fixed_port_it_ends_before_another_starts(void **state)
{
    struct worker_config config =
        checked("a", "exec 2>/dev/null; trap 'sleep 0.1; echo end; exit 0' TERM; echo begin; "
                     "while :; do sleep 0.01; done");
    (void)state;
    config.stop_grace_period = 5000;
    config.port = 3999;
    struct rig *rig = rig_with_checks(true);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    checks.well = false;
    rig_until(rig, rig_told(rig, "it is unhealthy: GET /health answered 500; it is being"));
    assert_int_equal(rig->pools.next_life, 1);
    assert_null(rig_worker(pool, 0));
    assert_false(pool_is_down(pool)); /* it is about to come back */
    checks.well = true;
    rig_until(rig, rig->readies == 2);
    assert_int_equal(rig->ends, 1);
    assert_int_equal(rig->end, END_FROZEN);
    assert_int_equal(rig_times_wrote(rig, "end"), 1);
    assert_int_equal(pool->restarts, 1);
    rig_free(rig);
}

/* One whose checks get no answer will hardly hear a signal; one that says no may need its time.
 */
static void who_is_silent_has_a_second_to_end(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct worker_config config = checked(
            "a", "exec 2>/dev/null; trap '' TERM; echo begin; while :; do sleep 0.01; done");
        config.stop_grace_period = 1600;
        config.timeout = 60000;
        struct rig *rig = rig_with_checks(true);
        struct pool *pool = rig_pool(rig, &config);
        rig_until(rig, rig->readies == 1);
        struct worker *w = rig_worker(pool, 0);
        struct use use = {
            0}; /* a request is under way there: that is waited for just as long */
        use_begin(&use, w);
        checks.silent = silent;
        checks.ill = w;
        rig_until(rig, w->state == WORKER_DRAINING);
        uint64_t begun = loop_now(&rig->loop);
        rig_until(rig, rig->ends == 1);
        uint64_t took = loop_now(&rig->loop) - begun;
        assert_true(took >= 1600 + (silent ? 1000 : 1600) - 50);
        assert_true(rig_told(rig, silent ? "did not end within 1000 ms of SIGTERM"
                                         : "did not end within 1600 ms of SIGTERM"));
        use_end(&use);
        rig_free(rig);
    }
}

static void without_restarts_it_only_gets_no_work(void **state)
{
    struct worker_config config = checked("a", stay);
    (void)state;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_with_checks(true);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    checks.well = false;
    rig_until(rig, rig_worker(pool, 0)->state == WORKER_UNHEALTHY);
    rig_linger(rig, 250);
    assert_int_equal(rig->ends, 0);
    checks.well = true;
    rig_until(rig, rig_worker(pool, 0)->state == WORKER_READY);
    assert_true(rig_told(rig, "healthy again"));
    rig_free(rig);
}

static void a_check_under_way_ends_with_its_process(void **state)
{
    struct worker_config config = checked("a", "sleep 0.1");
    (void)state;
    config.restart.when = RESTART_NO;
    struct rig *rig = rig_with_checks(true);
    checks.takes_ms = 60000;
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, checks.begun == 1);
    rig_until(rig, pool->rest == POOL_ENDED);
    assert_int_equal(checks.cancelled, 1);
    rig_free(rig);
}

/* ------------------------------------------------------------------------------- ports */

static void each_gets_a_free_port_of_its_own(void **state)
{
    struct worker_config config = rig_service("a", "echo \"port $PORT\"; sleep 100");
    (void)state;
    config.port = PORT_AUTO;
    config.instances = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_times_wrote(rig, "port ") == 3);
    for (unsigned i = 0; i < 3; i++) {
        char line[40];
        struct worker *w = rig_worker(pool, i);
        snprintf(line, sizeof(line), "a#%u stdout: port %u\n", i, (unsigned)w->port);
        assert_true(w->port > 0 && w->port < 65536);
        assert_true(rig_wrote(rig, line));
        for (unsigned j = 0; j < i; j++)
            assert_true(w->port != rig_worker(pool, j)->port);
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_addr = {htonl(INADDR_LOOPBACK)},
                                 .sin_port = htons((uint16_t)w->port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        close(fd);
    }
    rig_free(rig);
}

static void a_fixed_port_is_passed_on(void **state)
{
    struct worker_config config =
        rig_service("a", "echo \"port $PORT, ${NODEY_PROTOCOL-none}, $NODEY_SERVICE\"; cat; "
                         "echo over; sleep 100");
    (void)state;
    config.port = 3001;
    struct rig *rig = rig_new();
    rig_pool(rig, &config);
    /* No word of a protocol, and nothing to read. */
    rig_until(rig, rig_wrote(rig, "stdout: port 3001, none, a\na#0 stdout: over\n"));
    rig_free(rig);
}

/* What answers at a port that is taken is a stranger. */
static void a_port_that_is_taken_is_a_start_that_failed(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct worker_config config = rig_service("a", stay);
    char sentence[200];
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    config.port = ntohs(at.sin_port);
    config.backoff_min = config.backoff_max = 20;
    struct rig *rig = rig_with_checks(true);
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->failures == 2);
    assert_int_equal(checks.begun, 0);
    assert_false(rig_wrote(rig, "begin"));
    snprintf(sentence, sizeof(sentence), "port %u is in use, by test_pool_servi (process %d)",
             (unsigned)config.port, (int)getpid());
    assert_true(rig_told(rig, sentence));
    assert_non_null(strstr(pool->trouble, sentence));
    close(fd);
    rig_until(rig, rig->readies == 1);
    assert_string_equal(pool->trouble, "");
    rig_free(rig);
}

static void a_new_version_waits_for_the_port(void **state)
{
    struct worker_config config = rig_service("a", stay), other = rig_service("a", stay);
    (void)state;
    config.port = other.port = 3001;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    pool_configure(pool, &other);
    pool_renew(pool, "the test says so");
    rig_until(rig, rig_times_wrote(rig, "begin") == 2);
    assert_true(rig_wrote(rig, "begin\na#0 stdout: end\na#0 stdout: begin\n"));
    assert_int_equal(rig_worker(pool, 0)->generation, pool->generation);
    rig_free(rig);
}

static void with_ports_of_their_own_versions_overlap(void **state)
{
    struct worker_config config = rig_service("a", stay);
    (void)state;
    config.port = PORT_AUTO;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    pool_renew(pool, "the test says so");
    rig_until(rig, rig->ends == 1);
    assert_int_equal(rig->readies, 2);
    assert_int_equal(list_count(&pool->states[WORKER_READY]), 1);
    rig_free(rig);
}

/* ------------------------------------------------------------------------------ output */

static void both_outputs_are_lines_of_the_log(void **state)
{
    struct worker_config config = rig_service(
        "a", "echo '{\"type\":\"ready\"}'; echo one; echo two >&2; printf 'no end'; sleep 100");
    (void)state;
    struct rig *rig = rig_new();
    rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "a#0 stdout: no end\n"));
    rig_until(rig, rig_wrote(rig, "a#0 stderr: two\n"));
    assert_true(rig_wrote(rig, "a#0 stdout: {\"type\":\"ready\"}\n"));
    assert_true(rig_wrote(rig, "a#0 stdout: one\n"));
    rig_free(rig);
}

static void it_takes_no_calls(void **state)
{
    struct job job;
    struct worker_config config = rig_service("a", stay);
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    job_init(&job, "reply()");
    const struct call_failure *refused = job_submit(&job, pool, 0);
    assert_non_null(refused);
    assert_int_equal(refused->status, 501);
    rig_free(rig);
}

/* ----------------------------------------------------------------------------- its end */

static void its_own_signal_asks_it_to_end(void **state)
{
    struct worker_config config =
        rig_service("a", "trap 'echo int; exit 0' INT; trap 'echo term' TERM; echo begin; "
                         "while :; do sleep 0.01; done");
    (void)state;
    config.stop_signal = SIGINT;
    config.stop_grace_period = 5000;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    pool_hold(pool, "the test says so");
    rig_until(rig, rig->ends == 1);
    assert_true(rig_wrote(rig, "int"));
    assert_false(rig_wrote(rig, "term"));
    rig_free(rig);
}

static void who_ignores_the_signal_is_killed(void **state)
{
    struct worker_config config =
        rig_service("a", "trap '' QUIT; echo begin; while :; do sleep 0.01; done");
    (void)state;
    config.stop_signal = SIGQUIT;
    config.stop_grace_period = 100;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    pool_hold(pool, "the test says so");
    rig_until(rig, rig->ends == 1);
    assert_true(rig_told(rig, "did not end within 100 ms of SIGQUIT: killed"));
    assert_int_equal(pool->last_exit.signal, SIGKILL);
    rig_free(rig);
}

static void who_is_in_use_ends_later(void **state)
{
    struct worker_config config = rig_service("a", stay);
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    struct worker *w = rig_worker(pool, 0);
    struct use first = {0}, second = {0};
    use_begin(&first, w);
    use_begin(&second, w);
    pool_hold(pool, "the test says so");
    use_end(&first);
    rig_linger(rig, 100);
    assert_int_equal(rig->ends, 0);
    assert_int_equal(w->state, WORKER_DRAINING);
    use_end(&second);
    rig_until(rig, rig->ends == 1);
    assert_true(rig_wrote(rig, "end"));
    rig_free(rig);
}

static void who_uses_it_does_not_hold_it_up_for_ever(void **state)
{
    struct worker_config config = rig_service("a", stay);
    (void)state;
    config.timeout = 50;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig_wrote(rig, "begin"));
    struct worker *w = rig_worker(pool, 0);
    struct use use = {0};
    use_begin(&use, w);
    pool_hold(pool, "the test says so");
    rig_until(rig, rig->ends == 1 && pool->lives == 0);
    assert_true(w->gone); /* and may be let go of at any later time */
    rig_free(rig);
    use_end(&use);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(it_is_ready_when_its_check_succeeds),
        cmocka_unit_test(without_a_check_it_is_ready_when_it_has_run_for_a_second),
        cmocka_unit_test(without_a_check_a_crash_loop_is_never_ready),
        cmocka_unit_test(the_check_of_its_port_ends_when_it_is_ready),
        cmocka_unit_test(who_is_not_well_in_time_is_ended_and_told),
        cmocka_unit_test(one_failure_is_not_enough),
        cmocka_unit_test(with_a_port_of_its_own_a_successor_is_ready_first),
        cmocka_unit_test(with_a_fixed_port_it_ends_before_another_starts),
        cmocka_unit_test(who_is_silent_has_a_second_to_end),
        cmocka_unit_test(without_restarts_it_only_gets_no_work),
        cmocka_unit_test(a_check_under_way_ends_with_its_process),
        cmocka_unit_test(each_gets_a_free_port_of_its_own),
        cmocka_unit_test(a_fixed_port_is_passed_on),
        cmocka_unit_test(a_port_that_is_taken_is_a_start_that_failed),
        cmocka_unit_test(a_new_version_waits_for_the_port),
        cmocka_unit_test(with_ports_of_their_own_versions_overlap),
        cmocka_unit_test(both_outputs_are_lines_of_the_log),
        cmocka_unit_test(it_takes_no_calls),
        cmocka_unit_test(its_own_signal_asks_it_to_end),
        cmocka_unit_test(who_ignores_the_signal_is_killed),
        cmocka_unit_test(who_is_in_use_ends_later),
        cmocka_unit_test(who_uses_it_does_not_hold_it_up_for_ever),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
