#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"

#include <cmocka.h>

static bool near(double a, double b)
{
    double gap = a > b ? a - b : b - a;
    return gap < 0.001;
}

static void the_first_sample_is_the_mean(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_note(&p, 500, 1);
    assert_true(near(p.mean_us, 500));
    assert_true(near(p.peak_us, 500));
    assert_int_equal(p.samples, 1);
}

static void the_mean_moves_by_a_sixteenth(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_note(&p, 160, 1);
    pace_note(&p, 320, 1);
    assert_true(near(p.mean_us, 170));
    pace_note(&p, 0, 1000); /* as many as there were forget it */
    assert_true(p.mean_us < 1);
}

static void the_peak_jumps_up_and_decays(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_note(&p, 10, 100);
    pace_note(&p, 6400, 1);
    assert_true(near(p.peak_us, 6400));
    pace_note(&p, 10, 1);
    assert_true(near(p.peak_us, 6300));
    pace_note(&p, 10, 63);
    assert_true(p.peak_us > 1500); /* a hundred answers later it is still known */
    pace_note(&p, 10, 256);
    pace_note(&p, 10, 256);
    assert_true(near(p.peak_us, 10)); /* never below what is measured */
}

static void nothing_changes_nothing(void **state)
{
    struct pace p = {.mean_us = 5, .peak_us = 7, .samples = 3};
    (void)state;
    pace_note(&p, 1, 0);
    assert_true(near(p.mean_us, 5));
    assert_true(near(p.peak_us, 7));
    assert_int_equal(p.samples, 3);
}

static unsigned take_all(struct bucket *b, double rate, uint64_t now_ms)
{
    unsigned taken = 0;
    while (taken < 100000 && bucket_take(b, rate, now_ms))
        taken++;
    return taken;
}

static void a_burst_is_two_seconds_worth(void **state)
{
    struct bucket b = {0};
    (void)state;
    assert_int_equal(take_all(&b, 10, 5000), 20);
    assert_int_equal(take_all(&b, 10, 5000), 0);
    assert_int_equal(take_all(&b, 10, 5100), 1);
    assert_int_equal(take_all(&b, 10, 5600), 5);
    assert_int_equal(take_all(&b, 10, 5000000), 20); /* no more is saved up */
}

static void parts_of_a_token_are_not_lost(void **state)
{
    struct bucket b = {0};
    unsigned taken = 0;
    (void)state;
    take_all(&b, 10, 1000);
    for (uint64_t now = 1000; now <= 2000; now += 7)
        taken += take_all(&b, 10, now);
    assert_in_range(taken, 9, 10);
}

static void a_clock_at_zero_is_a_clock(void **state)
{
    struct bucket b = {0};
    (void)state;
    assert_int_equal(take_all(&b, 10, 0), 20);
    assert_int_equal(take_all(&b, 10, 0), 0);
}

static void a_window_is_over_when_more_than_the_limit_happens_within_the_span(void **state)
{
    (void)state;
    struct window w = {0};
    for (unsigned i = 0; i < 3; i++)
        assert_false(window_over(&w, 3, 1000, 5000 + i));
    assert_true(window_over(&w, 3, 1000, 5999));
    assert_false(window_over(&w, 3, 1000, 6000)); /* a new span */
    assert_int_equal(w.count, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_over_when_more_than_the_limit_happens_within_the_span),
        cmocka_unit_test(the_first_sample_is_the_mean),
        cmocka_unit_test(the_mean_moves_by_a_sixteenth),
        cmocka_unit_test(the_peak_jumps_up_and_decays),
        cmocka_unit_test(nothing_changes_nothing),
        cmocka_unit_test(a_burst_is_two_seconds_worth),
        cmocka_unit_test(parts_of_a_token_are_not_lost),
        cmocka_unit_test(a_clock_at_zero_is_a_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
