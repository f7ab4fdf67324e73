/* Who starts when not all may at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

static void no_more_start_at_a_time_than_may(void **state)
{
    enum { POOLS = 7, LIMIT = 3 };

    struct worker_config configs[POOLS];
    struct pool *pools[POOLS];
    size_t most = 0;
    (void)state;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = LIMIT;
    for (size_t i = 0; i < POOLS; i++) {
        configs[i] = rig_config("a", "sleep(0.1); ready()");
        pools[i] = rig_pool(rig, &configs[i]);
    }
    rig_begin_wait(rig);
    while (rig->readies < POOLS) {
        size_t now = 0;
        for (size_t i = 0; i < POOLS; i++)
            now += list_count(&pools[i]->states[WORKER_STARTING]);
        assert_true(now <= LIMIT);
        most = MAX(most, now);
        rig_turn(rig, "all are ready", __FILE__, __LINE__);
    }
    assert_int_equal(most, LIMIT);
    assert_int_equal(rig->pools.startgate.open, 0);
    rig_free(rig);
}

static void those_that_end_make_room(void **state)
{
    struct worker_config bad = rig_config("bad", "os._exit(1)");
    struct worker_config never = rig_command("never", (const char *[]){"/nowhere/x", NULL});
    struct worker_config good = rig_config("good", "ready()");
    (void)state;
    bad.backoff_min = bad.backoff_max = 60000;
    never.backoff_min = never.backoff_max = 60000;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = 1;
    rig_pool(rig, &bad);
    rig_pool(rig, &never);
    rig_pool(rig, &good);
    rig_until(rig, rig->readies == 1);
    assert_int_equal(rig->pools.startgate.open, 0);
    rig_free(rig);
}

static void who_is_stopped_leaves_the_line(void **state)
{
    struct worker_config slow = rig_config("slow", "sleep(0.3); ready()");
    struct worker_config out = rig_config("out", "ready()");
    struct worker_config next = rig_config("next", "ready()");
    (void)state;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = 1;
    rig_pool(rig, &slow);
    struct pool *held = rig_pool(rig, &out);
    rig_pool(rig, &next);
    rig_linger(rig, 20);
    assert_true(startgate_waits(rig_worker(held, 0)));
    pool_hold(held, "a test");
    rig_until(rig, rig->readies == 2);
    rig_linger(rig, 50);
    assert_int_equal(rig->readies, 2);
    rig_free(rig);
}

static void who_is_awaited_goes_first(void **state)
{
    enum { OTHERS = 5, BASE = OTHERS, ABOVE, POOLS };

    struct worker_config configs[POOLS];
    struct pool *pools[POOLS];
    struct dependency d = {.name = "base", .condition = DEPENDENCY_HEALTHY, .required = true};
    (void)state;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = 1;
    for (size_t i = 0; i < OTHERS; i++)
        configs[i] = rig_config("other", "ready()");
    configs[BASE] = rig_config("base", "ready()");
    configs[ABOVE] = rig_config("above", "ready()");
    configs[ABOVE].depends_on = (struct dependency_list){&d, 1};
    for (size_t i = 0; i < POOLS; i++)
        pools[i] = pool_new(&rig->pools, &configs[i]);
    pools_start(&rig->pools);
    assert_int_equal(pools[ABOVE]->rest, POOL_WAITS);
    rig_until(rig, pool_serves(pools[BASE]));
    assert_in_range(rig->readies, 1, 2); /* who was first in line has begun before */
    rig_until(rig, rig->readies == POOLS);
    rig_free(rig);
}

static void who_restarts_goes_before_who_starts(void **state)
{
    enum { OTHERS = 5 };

    struct worker_config frail = rig_config("frail", "ready()");
    struct worker_config slow = rig_config("slow", "sleep(0.4); ready()");
    struct worker_config others[OTHERS];
    (void)state;
    frail.backoff_min = frail.backoff_max = 10;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = 1;
    struct pool *pool = rig_pool(rig, &frail);
    rig_until(rig, rig->readies == 1);
    rig_pool(rig, &slow);
    for (size_t i = 0; i < OTHERS; i++) {
        others[i] = rig_config("other", "ready()");
        rig_pool(rig, &others[i]);
    }
    worker_kill(rig_worker(pool, 0), "a test");
    rig_until(rig, rig->ends == 1);
    rig_until(rig, pool_serves(pool));
    assert_in_range(rig->readies, 2, 4); /* slow, itself, and whoever's turn it was */
    rig_free(rig);
}

/* Its rank is the last of all, and it was the first to come. */
static void nobody_is_passed_over_for_ever(void **state)
{
    enum { OTHERS = 6 };

    struct worker_config more = rig_config("more", "ready()");
    struct worker_config slow = rig_config("slow", "sleep(0.6); ready()");
    struct worker_config others[OTHERS];
    (void)state;
    struct rig *rig = rig_new();
    rig->pools.startgate.limit = 1;
    struct pool *pool = rig_pool(rig, &more);
    rig_until(rig, rig->readies == 1);
    rig_pool(rig, &slow);
    pool_scale(pool, 2);
    rig_until(rig, startgate_waits(rig_worker(pool, 1)));
    for (size_t i = 0; i < OTHERS; i++) {
        others[i] = rig_config("other", "ready()");
        rig_pool(rig, &others[i]);
    }
    rig_until(rig, !startgate_waits(rig_worker(pool, 1)));
    assert_in_range(rig->readies, 3, 2 + STARTGATE_FAIR - 1); /* not the very next one either */
    rig_until(rig, rig->readies == 3 + OTHERS);
    assert_int_equal(rig->pools.startgate.open, 0);
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(no_more_start_at_a_time_than_may),
        cmocka_unit_test(those_that_end_make_room),
        cmocka_unit_test(who_is_stopped_leaves_the_line),
        cmocka_unit_test(who_is_awaited_goes_first),
        cmocka_unit_test(who_restarts_goes_before_who_starts),
        cmocka_unit_test(nobody_is_passed_over_for_ever),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
