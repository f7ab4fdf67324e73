#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/pool/limits.c"
#include "tests/unit/rig.h"

#include <cmocka.h>

enum { A_MIB = 1 << 20 };

/* A pool of one actor that is ready, with these limits. */
struct limited {
    struct rig *rig;
    struct worker_config config;
    struct pool *pool;
};

static struct limited *begin(const char *source, uint64_t memory, uint64_t max_memory,
                             uint64_t pids)
{
    struct limited *l = xcalloc(1, sizeof(*l));
    l->rig = rig_new();
    l->config = rig_config("hog", source);
    l->config.memory = memory;
    l->config.max_memory = max_memory;
    l->config.pids = pids;
    l->pool = rig_pool(l->rig, &l->config);
    rig_until(l->rig, l->rig->readies == 1);
    return l;
}

static void finish(struct limited *l)
{
    rig_free(l->rig);
    xfree(l);
}

static void on_ended(struct pool_observer *observer, struct pool *pool, struct worker *w,
                     const char *how)
{
    (void)observer;
    (void)how;
    pool_tell(pool, w, LOG_DEBUG, "its end is %d", w->end);
}

static void a_hog_is_killed_and_said_to_be_one(void **state)
{
    char end[32];
    (void)state;
    snprintf(end, sizeof(end), "its end is %d\n", END_MEMORY);
    struct limited *l = begin("ready(); held.append(b'x' * (80 << 20))", 60 * A_MIB, 0, 0);
    l->rig->observer.ended = on_ended;
    rig_until(l->rig, rig_told(l->rig, "above its memory limit of 60M"));
    assert_true(rig_told(l->rig, "it used "));
    assert_true(rig_told(l->rig, end));
    finish(l);
}

static void a_fork_bomb_is_killed_when_it_is_only_watched(void **state)
{
    (void)state;
    struct limited *l = begin("ready()\n"
                              "for n in range(20):\n"
                              "    if os.fork() == 0:\n"
                              "        sleep(100)\n"
                              "        os._exit(0)\n",
                              0, 0, 10);
    rig_until(l->rig, rig_told(l->rig, "it had 21 processes and threads, above its pids limit "
                                       "of 10"));
    finish(l);
}

static void whoever_is_above_the_soft_limit_is_replaced_when_another_is_ready(void **state)
{
    (void)state;
    struct limited *l = begin("ready()", 0, 1 * A_MIB, 0);
    struct worker *first = rig_worker(l->pool, 0);
    uint64_t life = first->life;
    rig_until(l->rig, rig_told(l->rig, "above its max_memory of 1M"));
    assert_int_equal(rig_worker(l->pool, 0)->life, life); /* it serves until then */
    rig_until(l->rig, l->rig->readies == 2);
    assert_true(rig_worker(l->pool, 0)->life > life);
    assert_false(rig_told(l->rig, "killed"));
    finish(l);
}

static void without_limits_nothing_is_looked_at(void **state)
{
    (void)state;
    struct limited *l = begin("ready()", 0, 0, 0);
    struct worker *w = rig_worker(l->pool, 0);
    assert_false(timer_runs(&w->watch));
    assert_int_equal(w->usage_ms, 0);
    limits_measure(l->pool); /* but whoever asks is told */
    assert_true(w->usage.memory > A_MIB && w->usage.processes == 1);
    l->config.memory = 1024 * A_MIB;
    limits_apply(l->pool);
    assert_true(timer_runs(&w->watch));
    finish(l);
}

static void the_nearer_the_limit_the_sooner_it_is_looked_at(void **state)
{
    static const struct {
        unsigned limit_mib, used_mib, pause_ms;
    } rows[] = {
        {0, 900, 1000},   {1000, 0, 1000},  {1000, 800, 1000}, {1000, 900, 512},
        {1000, 950, 256}, {1000, 985, 100}, {1000, 1000, 100}, {1000, 1200, 100},
    };

    (void)state;
    struct pools pools = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct worker_config config = {.memory = (uint64_t)rows[i].limit_mib * A_MIB};
        struct pool pool = {.pools = &pools, .config = &config};
        struct worker w = {.pool = &pool, .usage.memory = (uint64_t)rows[i].used_mib * A_MIB};
        assert_int_equal(pause_of(&w), rows[i].pause_ms);
    }
}

static void python_is_known_by_its_name(void **state)
{
    static const struct {
        const char *program, *app;
        bool is;
    } rows[] = {
        {"python3", NULL, true},           {"/usr/bin/python3.11", NULL, true},
        {"/venv/bin/python", NULL, true},  {"node", NULL, false},
        {"/srv/python/node", NULL, false}, {"gunicorn", "shop.wsgi:app", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *argv[] = {rows[i].program, NULL};
        struct worker_config config = {.command = {argv, 1}, .app = rows[i].app};
        assert_int_equal(is_python(&config), rows[i].is);
    }
}

static void what_is_in_force_is_one_sentence(void **state)
{
    static const struct {
        unsigned controllers, memory, low, cpus, pids;
        const char *text;
    } rows[] = {
        {15, 0, 0, 0, 0, ""},
        {15, 1, 1, 1, 1, "limits: memory, memory_reservation, cpus and pids by cgroup"},
        {CGROUP_MEMORY | CGROUP_PIDS, 1, 0, 1, 1,
         "limits: memory and pids by cgroup; cpus by priority only (no cpu here)"},
        {0, 1, 1, 1, 1,
         "limits: memory by watching; pids by watching; cpus by priority only; "
         "memory_reservation not at all (no cpu here)"},
        {CGROUP_CPU, 0, 0, 1, 0, "limits: cpus by cgroup"},
        {CGROUP_MEMORY, 0, 0, 1, 0, "limits: cpus by priority only (no cpu here)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cgroups groups = {.controllers = rows[i].controllers, .why_not = "no cpu here"};
        struct pools pools = {.cgroups = &groups};
        struct worker_config config = {.memory = rows[i].memory,
                                       .memory_reservation = rows[i].low,
                                       .cpus = rows[i].cpus,
                                       .pids = rows[i].pids};
        struct pool pool = {.pools = &pools, .config = &config};
        struct buf text = {0};
        list_init(&pools.list);
        list_add(&pools.list, &pool.node);
        bool strict = limits_describe(&pools, &text);
        assert_string_equal(buf_cstr(&text), rows[i].text);
        assert_int_equal(strict, strchr(rows[i].text, '(') == NULL);
        buf_deinit(&text);
    }
}

static void a_user_that_two_programs_share_is_not_limited_as_a_whole(void **state)
{
    struct pools pools = {0};
    struct worker_config first = {.user = "54321"}, second = {.user = "54322"};
    struct pool a = {.pools = &pools, .config = &first}, b = {.config = &second};
    (void)state;
    list_init(&pools.list);
    list_add(&pools.list, &a.node);
    list_add(&pools.list, &b.node);
    assert_true(has_own_user(&a, 54321));
    second.user = "54321:7";
    assert_false(has_own_user(&a, 54321));
    assert_false(has_own_user(&a, 0));
    assert_false(has_own_user(&a, geteuid()));
}

static int run(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hog_is_killed_and_said_to_be_one),
        cmocka_unit_test(a_fork_bomb_is_killed_when_it_is_only_watched),
        cmocka_unit_test(whoever_is_above_the_soft_limit_is_replaced_when_another_is_ready),
        cmocka_unit_test(without_limits_nothing_is_looked_at),
        cmocka_unit_test(the_nearer_the_limit_the_sooner_it_is_looked_at),
        cmocka_unit_test(python_is_known_by_its_name),
        cmocka_unit_test(what_is_in_force_is_one_sentence),
        cmocka_unit_test(a_user_that_two_programs_share_is_not_limited_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, run);
}
