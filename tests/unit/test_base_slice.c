#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

#include <cmocka.h>

static const struct slice none = {NULL, 0};

static void literals_and_strings_become_slices(void **state)
{
    (void)state;
    assert_int_equal(SLICE("abc").len, 3);
    assert_int_equal(SLICE("a\0c").len, 3);
    assert_int_equal(SLICE("").len, 0);
    assert_int_equal(slice_of("abc").len, 3);
    assert_int_equal(slice_of(NULL).len, 0);
}

static void equal_bytes_are_equal_slices(void **state)
{
    static const struct {
        struct slice a, b;
        bool equal, equal_nocase;
    } cases[] = {
        {{"abc", 3}, {"abcd", 3}, true, true},   {{"abc", 3}, {"abc", 2}, false, false},
        {{"abc", 3}, {"abd", 3}, false, false},  {{"aBc", 3}, {"AbC", 3}, false, true},
        {{"a\0b", 3}, {"a\0c", 3}, false, true}, {{NULL, 0}, {"", 0}, true, true},
        {{NULL, 0}, {NULL, 0}, true, true},      {{NULL, 0}, {"a", 1}, false, false},
        {{"a[", 2}, {"a{", 2}, false, false},    {{"\xc4", 1}, {"\xe4", 1}, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(slice_eq(cases[i].a, cases[i].b), cases[i].equal);
        assert_int_equal(slice_eq(cases[i].b, cases[i].a), cases[i].equal);
        assert_int_equal(slice_eq_nocase(cases[i].a, cases[i].b), cases[i].equal_nocase);
        assert_int_equal(slice_eq_nocase(cases[i].b, cases[i].a), cases[i].equal_nocase);
    }
    assert_true(slice_is(SLICE("abc"), "abc"));
    assert_false(slice_is(SLICE("abc"), "ab"));
    assert_false(slice_is(SLICE("ab\0c"), "ab"));
    assert_true(slice_is(none, ""));
}

static void a_prefix_is_recognised(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_true(slice_starts(SLICE("abc"), SLICE("abc")));
    assert_true(slice_starts(SLICE("abc"), none));
    assert_true(slice_starts(none, none));
    assert_false(slice_starts(SLICE("abc"), SLICE("b")));
    assert_false(slice_starts(SLICE("ab"), SLICE("abc")));
    assert_false(slice_starts(none, SLICE("a")));
    assert_true(slice_is(slice_from(SLICE("abc"), 1), "bc"));
    assert_true(slice_is(slice_from(SLICE("abc"), 3), ""));
}

static void blanks_and_tabs_are_trimmed_and_nothing_else(void **state)
{
    static const struct {
        const char *text, *trimmed;
    } cases[] = {
        {"", ""},        {" ", ""},     {" \t \t", ""},       {"a", "a"},
        {" a", "a"},     {"a\t", "a"},  {" \ta b\t ", "a b"}, {"\na\n", "\na\n"},
        {"\ra ", "\ra"}, {" \v", "\v"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(slice_is(slice_trim(slice_of(cases[i].text)), cases[i].trimmed));
    assert_int_equal(slice_trim(none).len, 0);
}

static void numbers_are_digits_within_bounds(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool good;
        uint64_t n;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"007", 9, true, 7},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"9", 8, false, 0},
        {"10", 9, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551620", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"+1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"1a", 99, false, 0},
        {"0x1", 99, false, 0},
        {":", 99, false, 0},
        {"/", 99, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t n = 12345;
        assert_int_equal(slice_to_u64(slice_of(cases[i].text), cases[i].max, &n),
                         cases[i].good);
        assert_int_equal(n, cases[i].good ? cases[i].n : 12345);
    }
}

static void a_slice_prints_without_a_nul_at_its_end(void **state)
{
    char text[32];
    (void)state;
    struct slice s = {"abcdef", 3};
    snprintf(text, sizeof(text), "<" SLICE_FMT ">", SLICE_ARG(s));
    assert_string_equal(text, "<abc>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_strings_become_slices),
        cmocka_unit_test(equal_bytes_are_equal_slices),
        cmocka_unit_test(a_prefix_is_recognised),
        cmocka_unit_test(blanks_and_tabs_are_trimmed_and_nothing_else),
        cmocka_unit_test(numbers_are_digits_within_bounds),
        cmocka_unit_test(a_slice_prints_without_a_nul_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
