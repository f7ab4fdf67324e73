#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

#include <cmocka.h>

static struct histogram *empty(void)
{
    return xcalloc(1, sizeof(struct histogram));
}

static void nothing_has_no_value(void **state)
{
    struct histogram *h = empty();
    (void)state;
    assert_int_equal(histogram_at(h, 50), 0);
    assert_int_equal(histogram_at(h, 100), 0);
    assert_true(histogram_mean(h) == 0);
    assert_int_equal(histogram_between(h, 0, HISTOGRAM_MAX), 0);
    xfree(h);
}

static void small_values_are_kept_exactly(void **state)
{
    struct histogram *h = empty();
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(h, i);
    assert_int_equal(histogram_at(h, 0), 1);
    assert_int_equal(histogram_at(h, 0.1), 1);
    assert_int_equal(histogram_at(h, 0.11), 2);
    assert_int_equal(histogram_at(h, 50), 500);
    assert_int_equal(histogram_at(h, 99), 990);
    assert_int_equal(histogram_at(h, 99.9), 999);
    assert_int_equal(histogram_at(h, 100), 1000);
    assert_true(histogram_mean(h) == 500.5);
    xfree(h);
}

/* Each value alone: what comes out is not below it, and by less than 0.1 % above. */
static void every_size_has_three_digits(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < HISTOGRAM_MAX; value += value / 3 + 1) {
        struct histogram *h = empty();
        histogram_add(h, value);
        histogram_add(h, HISTOGRAM_MAX); /* or the maximum would correct it */
        uint64_t told = histogram_at(h, 50);
        assert_true(told >= value);
        assert_true((double)(told - value) <= (double)value / 1000);
        xfree(h);
    }
}

/* The slots join without a gap: a larger value never comes out smaller. */
static void order_is_kept_across_the_powers_of_two(void **state)
{
    (void)state;
    for (unsigned bit = 9; bit < HISTOGRAM_RANGE; bit++)
        for (uint64_t value = (UINT64_C(1) << bit) - 2; value <= (UINT64_C(1) << bit) + 1;
             value++) {
            struct histogram *h = empty();
            histogram_add(h, value);
            histogram_add(h, value + 1);
            histogram_add(h, HISTOGRAM_MAX);
            assert_true(histogram_at(h, 1) <= histogram_at(h, 50));
            assert_true(histogram_at(h, 1) >= value);
            xfree(h);
        }
}

/* What is told is the largest that may have come: 2049 shares its slot with 2048. */
static void a_slot_tells_its_own_top(void **state)
{
    static const uint64_t tops[] = {2047, 2049, 4095, 4099, 8191, 8199};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        struct histogram *h = empty();
        histogram_add(h, tops[i] - (tops[i] > 4096));
        histogram_add(h, HISTOGRAM_MAX);
        assert_int_equal(histogram_at(h, 50), tops[i]);
        xfree(h);
    }
}

static void the_largest_is_told_exactly_and_bounded(void **state)
{
    struct histogram *h = empty();
    (void)state;
    histogram_add(h, 123456789);
    assert_int_equal(histogram_at(h, 100), 123456789);
    histogram_add(h, UINT64_MAX);
    assert_int_equal(h->max, HISTOGRAM_MAX);
    assert_int_equal(histogram_at(h, 100), HISTOGRAM_MAX);
    xfree(h);
}

static void ranges_count_everything_once(void **state)
{
    struct histogram *h = empty();
    uint64_t sum = 0, low = 0;
    (void)state;
    for (uint64_t i = 0; i < 5000; i++)
        histogram_add(h, 1 + i * i);
    for (uint64_t high = 1000; low < h->max; high *= 2) {
        sum += histogram_between(h, low, high);
        low = high;
    }
    assert_int_equal(sum, 5000);
    assert_int_equal(histogram_between(h, 0, 1000), 32); /* 1 + 31 * 31 = 962 */
    xfree(h);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_value),
        cmocka_unit_test(small_values_are_kept_exactly),
        cmocka_unit_test(every_size_has_three_digits),
        cmocka_unit_test(order_is_kept_across_the_powers_of_two),
        cmocka_unit_test(a_slot_tells_its_own_top),
        cmocka_unit_test(the_largest_is_told_exactly_and_bounded),
        cmocka_unit_test(ranges_count_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
