/* How many instances there should be: the rule alone, and pools that follow it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

/* Two of 1 to 8 serve and are half used. */
static struct scale_view calm(uint64_t now_ms)
{
    return (struct scale_view){
        .now_ms = now_ms,
        .wanted = 2,
        .min = 1,
        .max = 8,
        .serving = 2,
        .cpus = 4,
        .free = true,
        .service_ms = 100,
        .slots = 1,
        .used = 1,
        .idle_ms = 60000,
    };
}

static struct scale_view crowded(uint64_t now_ms)
{
    struct scale_view v = calm(now_ms);
    v.free = false;
    v.used = 2;
    v.waiting = 5;
    v.waited_ms = 300;
    return v;
}

/* Looks at it `times` times, 100 ms apart; what the last one says. */
static size_t look(struct scale *s, struct scale_view v, unsigned times, enum scale_reason *why)
{
    size_t wanted = v.wanted;
    for (unsigned i = 0; i < times; i++, v.now_ms += 100)
        wanted = scale_decide(s, &v, why);
    return wanted;
}

static const struct {
    const char *name;
    struct scale_view change; /* what is not 0 is set */
    unsigned looks;
    bool free, nobody_waits;
    size_t wanted;
    enum scale_reason why;
} crowds[] = {
    {.name = "one look is none", .looks = 1, .wanted = 2, .why = SCALE_STAYS},
    {.name = "two are", .looks = 2, .wanted = 3, .why = SCALE_WAITED},
    {.name = "not long enough", .change = {.waited_ms = 199}, .looks = 5, .wanted = 2},
    {.name = "one is free", .free = true, .looks = 5, .wanted = 2},
    {.name = "at the most", .change = {.wanted = 8, .serving = 8}, .looks = 5, .wanted = 8},
    {.name = "above it, by a person",
     .change = {.wanted = 9, .serving = 9},
     .looks = 5,
     .wanted = 9},
    {.name = "none serves yet", .change = {.serving = SIZE_MAX}, .looks = 5, .wanted = 2},
    {.name = "enough is coming", .change = {.wanted = 4}, .looks = 5, .wanted = 4},
    {.name = "20 calls of 100 ms in a second",
     .change = {.waiting = 20},
     .looks = 2,
     .wanted = 4,
     .why = SCALE_WAITED},
    {.name = "some of it is coming",
     .change = {.waiting = 20, .wanted = 3},
     .looks = 2,
     .wanted = 4,
     .why = SCALE_WAITED},
    {.name = "never more than the most",
     .change = {.waiting = 1000},
     .looks = 2,
     .wanted = 8,
     .why = SCALE_WAITED},
    {.name = "that take ten at a time",
     .change = {.waiting = 100, .slots = 10},
     .looks = 2,
     .wanted = 3,
     .why = SCALE_WAITED},
    {.name = "very long ones",
     .change = {.waiting = 1, .service_ms = 1e300},
     .looks = 2,
     .wanted = 8,
     .why = SCALE_WAITED},
    {.name = "computing",
     .change = {.load = 0.9},
     .nobody_waits = true,
     .looks = 2,
     .wanted = 3,
     .why = SCALE_COMPUTES},
    {.name = "the bus has work for five",
     .change = {.needed = 5, .backlog = 100},
     .nobody_waits = true,
     .looks = 1,
     .wanted = 5,
     .why = SCALE_BACKLOG},
    {.name = "the bus has work for a hundred",
     .change = {.needed = 100, .backlog = 10000},
     .nobody_waits = true,
     .looks = 1,
     .wanted = 8,
     .why = SCALE_BACKLOG},
    {.name = "the bus has work for those there are",
     .change = {.needed = 2, .backlog = 3},
     .nobody_waits = true,
     .looks = 5,
     .wanted = 2},
    {.name = "computing for a moment",
     .change = {.load = 0.9},
     .nobody_waits = true,
     .looks = 1,
     .wanted = 2},
    {.name = "computing at leisure",
     .change = {.load = 0.8},
     .nobody_waits = true,
     .looks = 5,
     .wanted = 2},
    {.name = "computing on each processor",
     .change = {.load = 1, .cpus = 2},
     .nobody_waits = true,
     .looks = 5,
     .wanted = 2},
};

static void what_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
        struct scale s = {0};
        struct scale_view v = crowded(1000), c = crowds[i].change;
        enum scale_reason why;
        v.wanted = c.wanted ? c.wanted : v.wanted;
        v.serving = c.serving == SIZE_MAX ? 0 : c.serving ? c.serving : v.serving;
        v.cpus = c.cpus ? c.cpus : v.cpus;
        v.waiting = crowds[i].nobody_waits ? 0 : c.waiting ? c.waiting : v.waiting;
        v.waited_ms = crowds[i].nobody_waits ? 0 : c.waited_ms ? c.waited_ms : v.waited_ms;
        v.service_ms = c.service_ms != 0 ? c.service_ms : v.service_ms;
        v.slots = c.slots ? c.slots : v.slots;
        v.load = c.load;
        v.needed = c.needed;
        v.backlog = c.backlog;
        v.free = crowds[i].free;
        size_t wanted = look(&s, v, crowds[i].looks, &why);
        if (wanted != crowds[i].wanted || why != crowds[i].why)
            fail_msg("%s: %zu (reason %d), not %zu (%d)", crowds[i].name, wanted, why,
                     crowds[i].wanted, crowds[i].why);
    }
}

static void looks_must_be_in_a_row(void **state)
{
    struct scale s = {0};
    enum scale_reason why;
    (void)state;
    for (uint64_t now = 1000; now < 5000; now += 200) {
        struct scale_view late = crowded(now), well = calm(now + 100);
        assert_int_equal(scale_decide(&s, &late, &why), 2);
        assert_int_equal(scale_decide(&s, &well, &why), 2);
    }
}

static void steps_up_are_apart(void **state)
{
    struct scale s = {0};
    enum scale_reason why;
    (void)state;
    assert_int_equal(look(&s, crowded(1000), 2, &why), 3);
    struct scale_view v = crowded(1200);
    v.wanted = v.serving = 3;
    assert_int_equal(look(&s, v, 4, &why), 3); /* up to 1500 */
    v.now_ms = 1600;
    assert_int_equal(look(&s, v, 1, &why), 4);
}

/* The time of the first step down, or 0. */
static uint64_t first_step_down(struct scale *s, struct scale_view v, uint64_t until_ms)
{
    enum scale_reason why;
    for (; v.now_ms <= until_ms; v.now_ms += 1000)
        if (scale_decide(s, &v, &why) < v.wanted) {
            assert_int_equal(why, SCALE_IDLE);
            return v.now_ms;
        }
    return 0;
}

static void one_goes_when_the_others_would_do(void **state)
{
    static const struct {
        double used;
        size_t wanted, min;
        bool goes;
    } cases[] = {
        {0, 2, 1, true},  {0.8, 2, 1, true}, {0.81, 2, 1, false},
        {2, 2, 1, false}, {3.2, 5, 1, true}, {3.3, 5, 1, false},
        {0, 2, 2, false}, {0, 1, 1, false},  {0, 3, 2, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scale s = {0};
        struct scale_view v = calm(1000);
        v.used = cases[i].used;
        v.wanted = v.serving = cases[i].wanted;
        v.min = cases[i].min;
        uint64_t at = first_step_down(&s, v, 200000);
        if (at != (cases[i].goes ? 61000u : 0))
            fail_msg("case %zu: at %llu", i, (unsigned long long)at);
    }
}

static void they_go_one_at_a_time(void **state)
{
    struct scale s = {0};
    struct scale_view v = calm(1000);
    (void)state;
    v.used = 0;
    v.wanted = v.serving = 4;
    for (uint64_t at = 61000; v.wanted > 1; at += 60000) {
        v.now_ms = first_step_down(&s, v, 500000);
        assert_int_equal(v.now_ms, at);
        v.wanted = v.serving = v.wanted - 1;
        v.now_ms += 1000;
    }
    assert_int_equal(first_step_down(&s, v, 900000), 0);
}

static void a_need_in_between_begins_the_wait_anew(void **state)
{
    struct scale s = {0};
    struct scale_view v = calm(1000);
    enum scale_reason why;
    (void)state;
    v.used = 0;
    assert_int_equal(first_step_down(&s, v, 50000), 0);
    struct scale_view waits = crowded(51000); /* shortly: no reason for more */
    waits.waited_ms = 10;
    assert_int_equal(scale_decide(&s, &waits, &why), 2);
    v.now_ms = 52000;
    uint64_t at = first_step_down(&s, v, 500000);
    assert_true(at >= 112000 && at <= 130000); /* what it was used for is forgotten, too */
}

static void a_single_busy_moment_keeps_nobody(void **state)
{
    struct scale s = {0};
    struct scale_view v = calm(1000);
    enum scale_reason why;
    size_t wanted = 2;
    (void)state;
    for (; v.now_ms < 100000 && wanted == 2; v.now_ms += 1000) {
        v.used = v.now_ms % 5000 ? 0.2 : 2; /* both, one second in five */
        wanted = scale_decide(&s, &v, &why);
    }
    assert_int_equal(wanted, 1);
}

static void memory_for_one_stays_free(void **state)
{
    enum { MIB = 1 << 20 };

    static const struct {
        uint64_t available, largest;
        size_t room;
    } cases[] = {
        {1000, 100, 8}, {319, 100, 1}, {221, 100, 1},      {219, 100, 0},
        {100, 100, 0},  {1, 100, 0},   {0, 100, SIZE_MAX}, {100, 0, SIZE_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(scale_room(cases[i].available * MIB, cases[i].largest * MIB) ==
                    cases[i].room);
}

/* ------------------------------------------------------------------------ real pools */

static struct worker_config lazy(const char *source)
{
    struct worker_config config = rig_config("a", source);
    config.instances_min = 1;
    config.instances = 3;
    config.scale_idle = 300;
    return config;
}

static void a_pool_grows_with_its_queue_and_shrinks(void **state)
{
    struct job jobs[6];
    struct worker_config config = lazy("ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    assert_int_equal(pool->wanted, 1);
    rig_until(rig, rig->readies == 1);
    assert_false(timer_runs(&pool->scale.timer));
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        job_send(&jobs[i], pool, "sleep(0.7); reply()");
    rig_until(rig, pool->wanted == 3);
    assert_true(rig_told(rig, "a: 1 -> 3 instances: requests waited"));
    rig_until(rig, rig->readies == 3);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        rig_until(rig, jobs[i].ends == 1);
    rig_until(rig, pool->wanted == 1);
    assert_true(rig_told(rig, "a: 2 -> 1 instance: one was not needed for 0.3 s"));
    rig_until(rig, !timer_runs(&pool->scale.timer));
    rig_free(rig);
}

static void what_follows_a_crash_has_not_waited(void **state)
{
    struct job job;
    struct worker_config config = lazy("ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    job_init(&job,
             "sleep(0.4); os._exit(1) if not os.path.exists('/proc/self/nowhere') else 0");
    job.call.idempotent = true;
    assert_null(job_submit(&job, pool, 0));
    rig_until(rig, job.ends == 1); /* after a second try, which ends in the same way */
    assert_int_equal(pool->wanted, 1);
    rig_free(rig);
}

static void a_persons_number_is_left_alone(void **state)
{
    struct job jobs[4];
    struct worker_config config = lazy("ready()");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies == 1);
    pool_scale(pool, 1); /* as it is */
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        job_send(&jobs[i], pool, "sleep(0.2); reply()");
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        rig_until(rig, jobs[i].ends == 1);
    assert_int_equal(pool->wanted, 1);
    assert_string_equal(pool->scale.why, "a person wants 1 instance");
    config.instances_min = 2;
    scale_release(pool);
    assert_int_equal(pool->wanted, 2);
    assert_string_equal(pool->scale.why, "");
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(what_asks_for_more),
        cmocka_unit_test(looks_must_be_in_a_row),
        cmocka_unit_test(steps_up_are_apart),
        cmocka_unit_test(one_goes_when_the_others_would_do),
        cmocka_unit_test(they_go_one_at_a_time),
        cmocka_unit_test(a_need_in_between_begins_the_wait_anew),
        cmocka_unit_test(a_single_busy_moment_keeps_nobody),
        cmocka_unit_test(memory_for_one_stays_free),
        cmocka_unit_test(a_pool_grows_with_its_queue_and_shrinks),
        cmocka_unit_test(what_follows_a_crash_has_not_waited),
        cmocka_unit_test(a_persons_number_is_left_alone),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
