/* The changes of a pool that runs: renewed, configured anew, removed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

/* A pool reads its configuration through a pointer: a test changes what stands there. */
static void set_source(struct worker_config *config, const char *source)
{
    struct worker_config other = rig_config(config->name, source);
    config->command = other.command;
}

static size_t serving(const struct pool *pool)
{
    return list_count(&pool->states[WORKER_READY]) + list_count(&pool->states[WORKER_BUSY]);
}

static size_t standing_by(const struct pool *pool)
{
    size_t count = 0;
    list_each (at, &pool->states[WORKER_STARTING])
        count += container_of(at, struct worker, node)->standby;
    return count;
}

static void the_new_version_takes_over_when_all_of_it_is_ready(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 3;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 3);
    uint64_t oldest = rig_worker(pool, 0)->life;
    set_source(&config, "sleep(0.05); ready()");
    pool_renew(pool, "the test says so");
    /* One goes ahead and stands by, then the others come: until then the old serve. */
    rig_until(rig, standing_by(pool) == 1);
    assert_int_equal(serving(pool), 3);
    assert_int_equal(rig_worker(pool, 0)->life, oldest);
    assert_int_equal(rig->readies, 3);
    rig_until(rig, rig->readies > 3);
    assert_int_equal(rig->readies, 6); /* in one turn */
    assert_int_equal(serving(pool), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(rig_worker(pool, i)->generation == pool->generation);
    assert_true(rig_told(rig, "the test says so: reloading"));
    job_send(&job, pool, "reply('new')");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "new");
    rig_free(rig);
}

static void what_the_old_version_works_on_is_finished(void **state)
{
    struct job job;
    char path[] = "/tmp/nodey-test-XXXXXX", source[128];
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    /* It works until the new one is there, however long that takes. */
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(source, sizeof(source), "while os.path.exists('%s'): sleep(0.01)\nreply('old')",
             path);
    job_send(&job, pool, source);
    rig_until(rig, job.writes == 1);
    pool_renew(pool, "x");
    rig_until(rig, rig->readies == 2);
    assert_int_equal(job.ends, 0);
    assert_int_equal(close(fd) | unlink(path), 0);
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 200);
    assert_string_equal(job.text, "old");
    rig_free(rig);
}

static void a_version_that_does_not_start_leaves_the_old_one_serving(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    uint64_t lives[] = {rig_worker(pool, 0)->life, rig_worker(pool, 1)->life};
    set_source(&config, "os._exit(3)");
    pool_renew(pool, "x");
    rig_until(rig, rig_told(rig, "the new version does not start"));
    assert_int_equal(rig->failures, 1);
    uint64_t newest = rig->pools.next_life;
    rig_linger(rig, 100);
    assert_int_equal(rig->pools.next_life, newest); /* it is not tried again and again */
    assert_int_equal(rig_worker(pool, 0)->life, lives[0]);
    assert_int_equal(rig_worker(pool, 1)->life, lives[1]);
    job_send(&job, pool, "reply('old')");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "old");
    /* The next version is tried, and wins. */
    set_source(&config, "ready()");
    pool_renew(pool, "x");
    rig_until(rig, rig->readies == 4);
    assert_true(rig_worker(pool, 0)->life > newest);
    rig_free(rig);
}

static void a_renewal_overtakes_one_that_is_under_way(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    set_source(&config, "sleep(60)");
    pool_renew(pool, "x");
    rig_until(rig, !list_empty(&pool->states[WORKER_STARTING]));
    set_source(&config, "ready()");
    pool_renew(pool, "y");
    rig_until(rig, rig->readies == 4);
    assert_int_equal(serving(pool), 2);
    assert_int_equal(list_count(&pool->states[WORKER_STARTING]), 0);
    rig_free(rig);
}

static void a_pool_that_does_not_serve_starts_anew_at_once(void **state)
{
    struct worker_config config = rig_config("a", "os._exit(1)");
    (void)state;
    config.instances = 2;
    config.backoff_min = config.backoff_max = 50000;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->failures == 1);
    set_source(&config, "ready()");
    pool_renew(pool, "mended");
    rig_until(rig, rig->readies == 2);
    assert_int_equal(pool->instances[0].restart.unready, 0);
    rig_free(rig);
}

/* The old ones die while the new wait for each other: nobody must wait for a renewal then. */
static void when_the_old_version_dies_the_new_one_enters(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    pid_t old[] = {rig_worker(pool, 0)->proc.pid, rig_worker(pool, 1)->proc.pid};
    set_source(&config, "sleep(0 if os.environ['NODEY_INSTANCE'] == '0' else 60); ready()");
    pool_renew(pool, "x");
    rig_until(rig, standing_by(pool) == 1);
    kill(old[0], SIGKILL);
    kill(old[1], SIGKILL);
    rig_until(rig, rig->readies == 3);
    assert_int_equal(serving(pool), 1);
    rig_free(rig);
}

static void one_that_fails_later_does_not_hold_up_the_rest(void **state)
{
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    config.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    set_source(&config, "os.environ['NODEY_INSTANCE'] == '0' or os._exit(1); ready()");
    pool_renew(pool, "x");
    rig_until(rig, rig->readies == 3);
    assert_true(rig_worker(pool, 0)->generation == pool->generation);
    assert_int_equal(serving(pool), 2); /* an old one keeps its place */
    rig_free(rig);
}

/* -------------------------------------------------------------- configuring */

static void the_number_of_instances_follows_the_configuration(void **state)
{
    struct worker_config config = rig_config("a", "ready()"), more = config, fewer = config;
    (void)state;
    config.instances = 2;
    more.instances = 4;
    fewer.instances = 1;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 2);
    pool_configure(pool, &more);
    rig_until(rig, rig->readies == 4);
    assert_int_equal(serving(pool), 4);
    uint64_t first = rig_worker(pool, 0)->life;
    pool_configure(pool, &fewer);
    rig_until(rig, rig->pools.lives == 1);
    assert_int_equal(rig_worker(pool, 0)->life, first);
    pool_configure(pool, &config);
    rig_until(rig, rig->readies == 5);
    assert_int_equal(serving(pool), 2);
    rig_free(rig);
}

/* ----------------------------------------------------------------- removing */

static struct config *held_config(void)
{
    struct config *config = xcalloc(1, sizeof(*config));
    config->holders = 1;
    return config;
}

static void a_removed_pool_answers_what_it_has_and_ends(void **state)
{
    struct job jobs[3];
    struct config *whole = held_config();
    struct worker_config config = rig_config("a", "ready()"), b = rig_config("b", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_pool(rig, &b);
    rig_until(rig, rig->readies == 2);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        job_send(&jobs[i], pool, "sleep(0.05); reply()");
    pool_remove(pool, whole);
    assert_int_equal(whole->holders, 2);
    assert_null(pools_find(&rig->pools, SLICE("a")));
    rig_until(rig, jobs[0].ends && jobs[1].ends && jobs[2].ends);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_int_equal(jobs[i].status, 200);
    rig_until(rig, list_count(&rig->pools.list) == 1);
    assert_int_equal(whole->holders, 1);
    config_release(whole);
    rig_free(rig);
}

static void a_pool_that_is_down_can_be_removed(void **state)
{
    struct job job;
    struct config *whole = held_config();
    struct worker_config config = rig_config("a", "sleep(60)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool, "reply()");
    rig_linger(rig, 20);
    pool_remove(pool, whole);
    assert_int_equal(job.ends, 1);
    assert_int_equal(job.status, 503);
    rig_until(rig, list_empty(&rig->pools.list));
    config_release(whole);
    rig_free(rig);
}

static void a_removed_pool_may_come_back_while_it_ends(void **state)
{
    struct job old, new;
    struct config *whole = held_config();
    struct worker_config config = rig_config("a", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    job_send(&old, pool, "sleep(0.3); reply('old')");
    pool_remove(pool, whole);
    struct pool *again = rig_pool(rig, &config);
    assert_ptr_equal(pools_find(&rig->pools, SLICE("a")), again);
    job_send(&new, again, "reply('new')");
    rig_until(rig, old.ends && new.ends);
    assert_string_equal(old.text, "old");
    assert_string_equal(new.text, "new");
    rig_until(rig, list_count(&rig->pools.list) == 1);
    config_release(whole);
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(the_new_version_takes_over_when_all_of_it_is_ready),
        cmocka_unit_test(what_the_old_version_works_on_is_finished),
        cmocka_unit_test(a_version_that_does_not_start_leaves_the_old_one_serving),
        cmocka_unit_test(a_renewal_overtakes_one_that_is_under_way),
        cmocka_unit_test(a_pool_that_does_not_serve_starts_anew_at_once),
        cmocka_unit_test(when_the_old_version_dies_the_new_one_enters),
        cmocka_unit_test(one_that_fails_later_does_not_hold_up_the_rest),
        cmocka_unit_test(the_number_of_instances_follows_the_configuration),
        cmocka_unit_test(a_removed_pool_answers_what_it_has_and_ends),
        cmocka_unit_test(a_pool_that_is_down_can_be_removed),
        cmocka_unit_test(a_removed_pool_may_come_back_while_it_ends),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
