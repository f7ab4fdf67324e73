#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "import/measure.h"

#include <cmocka.h>

static void check_duration(const char *text, const char *want)
{
    struct buf out = {0};
    bool good = measure_duration(&out, slice_of(text));
    assert_int_equal(good, want != NULL);
    if (want)
        assert_string_equal(buf_cstr(&out), want);
    buf_deinit(&out);
}

static void durations_of_compose_are_durations_here(void **state)
{
    (void)state;
    check_duration("10s", "10s");
    check_duration("1m30s", "1m30s");
    check_duration("1.5h", "1h30m");
    check_duration("2500ms", "2s500ms");
    check_duration("100us", "0");
    check_duration("1w", "7d");
    check_duration("0s", "0");
    check_duration("", NULL);
    check_duration("10", NULL);
    check_duration("s", NULL);
    check_duration("10 s", NULL);
    check_duration("10y", NULL);
    check_duration("-1s", NULL);
    check_duration("99999999999999999999h", NULL);
    check_duration("1111111111111111111111111111111111111111111111111111111111111111111111111s",
                   NULL);
}

static void check_size(const char *text, const char *want, uint64_t bytes)
{
    struct buf out = {0};
    uint64_t n = 0;
    bool good = measure_size(&out, slice_of(text), &n);
    assert_int_equal(good, want != NULL);
    if (want)
        assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(n, bytes);
    buf_deinit(&out);
}

static void sizes_of_compose_are_sizes_here(void **state)
{
    (void)state;
    check_size("128M", "128M", 128 << 20);
    check_size("1.5gb", "1536M", UINT64_C(1536) << 20);
    check_size("64 KiB", "64K", 64 << 10);
    check_size("1000", "1000", 1000);
    check_size("10b", "10", 10);
    check_size("1t", "1024G", UINT64_C(1) << 40);
    check_size("", NULL, 0);
    check_size("M", NULL, 0);
    check_size("1x", NULL, 0);
    check_size("1M5", NULL, 0);
    check_size("-1M", NULL, 0);
    check_size("99999999999t", NULL, 0);
}

static void numbers_have_a_fraction_or_none(void **state)
{
    double n;
    (void)state;
    assert_true(measure_number(SLICE("0.5"), &n) && n == 0.5);
    assert_true(measure_number(SLICE("2"), &n) && n == 2);
    assert_false(measure_number(SLICE(""), &n));
    assert_false(measure_number(SLICE("-1"), &n));
    assert_false(measure_number(SLICE("1e3"), &n));
    assert_false(measure_number(SLICE("0.5 "), &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_of_compose_are_durations_here),
        cmocka_unit_test(sizes_of_compose_are_sizes_here),
        cmocka_unit_test(numbers_have_a_fraction_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
