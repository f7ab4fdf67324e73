#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/restart.h"

#include <cmocka.h>

static const struct restart_policy policy = {
    .backoff_min_ms = 100,
    .backoff_max_ms = 1000,
    .backoff_reset_ms = 10000,
    .max_restarts = 5,
    .failed_retry_ms = 30000,
};

enum { NO_SPREAD = 0, NEVER = 0 };

struct crash {
    uint64_t ready_ms;
    uint64_t delay_ms;
    bool failed;
};

static void check(const struct crash *crashes, size_t count)
{
    struct restart r = {0};
    for (size_t i = 0; i < count; i++) {
        struct restart_verdict v =
            restart_after_crash(&r, &policy, crashes[i].ready_ms, NO_SPREAD);
        if (v.delay_ms != crashes[i].delay_ms || v.failed != crashes[i].failed)
            fail_msg("crash %zu: %llu ms%s", i, (unsigned long long)v.delay_ms,
                     v.failed ? ", failed" : "");
    }
}

#define CHECK(...)                                                                             \
    check((const struct crash[]){__VA_ARGS__},                                                 \
          sizeof((const struct crash[]){__VA_ARGS__}) / sizeof(struct crash))

static void the_pause_doubles_and_then_it_has_failed(void **state)
{
    (void)state;
    CHECK({NEVER, 100, false}, {NEVER, 200, false}, {NEVER, 400, false}, {NEVER, 800, false},
          {NEVER, 30000, true}, {NEVER, 30000, true});
}

static void the_pause_has_a_limit(void **state)
{
    (void)state;
    CHECK({1, 100, false}, {1, 200, false}, {1, 400, false}, {1, 800, false}, {1, 1000, false},
          {1, 1000, false}, {1, 1000, false});
}

static void who_was_healthy_starts_at_once_the_first_time(void **state)
{
    (void)state;
    CHECK({1000, 0, false}, {1000, 100, false}, {999, 200, false});
    CHECK({999, 100, false});
}

static void a_crash_after_a_pause_is_no_first_time(void **state)
{
    (void)state;
    CHECK({NEVER, 100, false}, {5000, 100, false}, {NEVER, 200, false});
}

static void who_was_ready_for_long_begins_anew(void **state)
{
    (void)state;
    CHECK({NEVER, 100, false}, {NEVER, 200, false}, {10000, 0, false}, {NEVER, 200, false},
          {9999, 200, false});
}

static void having_been_ready_forgives_crashes_at_the_start(void **state)
{
    (void)state;
    CHECK({NEVER, 100, false}, {NEVER, 200, false}, {NEVER, 400, false}, {NEVER, 800, false},
          {1, 1000, false}, {NEVER, 1000, false});
}

static void the_pause_is_spread_by_a_quarter(void **state)
{
    uint64_t least = UINT64_MAX, most = 0;
    (void)state;
    for (uint32_t dice = 0; dice < 1000; dice++) {
        struct restart r = {0};
        uint64_t delay = restart_after_crash(&r, &policy, NEVER, dice * 4294967U).delay_ms;
        least = MIN(least, delay);
        most = MAX(most, delay);
    }
    assert_int_equal(least, 75);
    assert_int_equal(most, 100);
}

static void a_huge_limit_does_not_overflow(void **state)
{
    struct restart_policy huge = policy;
    struct restart r = {0};
    uint64_t before = 0;
    (void)state;
    huge.max_restarts = 1000;
    huge.backoff_max_ms = UINT64_C(1) << 40;
    for (int i = 0; i < 200; i++) {
        uint64_t delay = restart_after_crash(&r, &huge, NEVER, NO_SPREAD).delay_ms;
        assert_true(delay >= before);
        before = delay;
    }
    assert_int_equal(before, huge.backoff_max_ms);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pause_doubles_and_then_it_has_failed),
        cmocka_unit_test(the_pause_has_a_limit),
        cmocka_unit_test(who_was_healthy_starts_at_once_the_first_time),
        cmocka_unit_test(a_crash_after_a_pause_is_no_first_time),
        cmocka_unit_test(who_was_ready_for_long_begins_anew),
        cmocka_unit_test(having_been_ready_forgives_crashes_at_the_start),
        cmocka_unit_test(the_pause_is_spread_by_a_quarter),
        cmocka_unit_test(a_huge_limit_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
