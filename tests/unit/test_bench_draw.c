#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/draw.h"

#include <cmocka.h>

static void times_have_three_digits(void **state)
{
    static const struct {
        double ns;
        const char *text;
    } table[] = {
        {0, "0.00 µs"},       {84, "0.08 µs"},     {1234, "1.23 µs"},   {9994, "9.99 µs"},
        {9996, "10.0 µs"},    {84210, "84.2 µs"},  {999400, "999 µs"},  {999600, "1.00 ms"},
        {12.34e6, "12.3 ms"}, {999.4e6, "999 ms"}, {999.6e6, "1.00 s"}, {61e9, "61.0 s"},
    };

    char text[24];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_string_equal(bench_time(table[i].ns, true, text), table[i].text);
    assert_string_equal(bench_time(1234, false, text), "1.23 us");
}

static void counts_come_in_groups(void **state)
{
    char text[32];
    (void)state;
    assert_string_equal(bench_count(0, text), "0");
    assert_string_equal(bench_count(999, text), "999");
    assert_string_equal(bench_count(1000, text), "1 000");
    assert_string_equal(bench_count(1234567.8, text), "1 234 568");
    assert_string_equal(bench_count(-1, text), "0");
    assert_string_equal(bench_count(1e30, text), "1 000 000 000 000 000 000");
    assert_string_equal(bench_bytes(999, text), "999 bytes");
    assert_string_equal(bench_bytes(61.24e6, text), "61.2 MB");
}

static void check_bar(bool unicode, double part, const char *expected)
{
    struct buf out = {0};
    struct bench_look look = {.unicode = unicode};
    bench_bar(&out, &look, part, 100, 10);
    assert_string_equal(buf_cstr(&out), expected);
    buf_deinit(&out);
}

static void bars_are_as_long_as_their_share(void **state)
{
    (void)state;
    check_bar(true, 100, "██████████");
    check_bar(true, 25, "██▌");
    check_bar(true, 0.001, "▏"); /* something is not nothing */
    check_bar(true, 0, "");
    check_bar(true, 1000, "██████████");
    check_bar(false, 100, "##########");
    check_bar(false, 25, "###");
    check_bar(false, 0.001, "#");
    check_bar(false, 0, "");
}

static void a_distribution_shows_all_and_begins_where_something_is(void **state)
{
    struct histogram *h = xcalloc(1, sizeof(*h));
    struct bench_look look = {0};
    struct buf out = {0};
    (void)state;
    for (int i = 0; i < 90; i++)
        histogram_add(h, 60000);
    for (int i = 0; i < 10; i++)
        histogram_add(h, 400000);
    bench_distribution(&out, &look, h);
    assert_string_equal(buf_cstr(&out),
                        "  up to  100 us   90.000 %  ################################\n"
                        "         200 us    0.000 %  \n"
                        "         500 us   10.000 %  ####\n");
    buf_deinit(&out);
    xfree(h);
}

static void bounds_go_by_one_two_five(void **state)
{
    static const uint64_t bounds[] = {1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
    uint64_t at = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        at = bench_next_bound(at);
        assert_int_equal(at, bounds[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_three_digits),
        cmocka_unit_test(counts_come_in_groups),
        cmocka_unit_test(bars_are_as_long_as_their_share),
        cmocka_unit_test(a_distribution_shows_all_and_begins_where_something_is),
        cmocka_unit_test(bounds_go_by_one_two_five),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
