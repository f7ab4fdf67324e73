/* Rows in columns, and figures in words, as commands print them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "client/human.h"
#include "client/table.h"

#include <cmocka.h>

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "N", .right = true, .dropped = 1},
    {.title = "EMPTY"},
    {.title = "WHY", .shrinks = true, .dropped = 2},
};

static void check(size_t width, bool colour, const char *expected)
{
    struct table t;
    struct buf out = {0};
    table_init(&t, columns, ARRAY_LEN(columns));
    table_add(&t, TINT_GOOD, "a");
    table_addf(&t, TINT_NONE, "%d", 7);
    table_add(&t, TINT_NONE, "");
    table_add(&t, TINT_NONE, "gr\xc3\xbc\xc3\x9f dich Gott");
    table_add(&t, TINT_NONE, "longer");
    table_addf(&t, TINT_NONE, "%d", 1234);
    table_add(&t, TINT_NONE, "");
    table_add(&t, TINT_NONE, "");
    table_write(&t, width, colour, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_deinit(&out);
    table_deinit(&t);
}

static void columns_are_aligned_and_empty_ones_left_out(void **state)
{
    (void)state;
    check(0, false,
          "NAME       N  WHY\n"
          "a          7  gr\xc3\xbc\xc3\x9f dich Gott\n"
          "longer  1234\n");
}

static void what_may_shrink_is_cut_between_characters(void **state)
{
    (void)state;
    check(18, false,
          "NAME       N  WHY\n"
          "a          7  gr\xc3\xbc\xe2\x80\xa6\n"
          "longer  1234\n");
}

static void what_matters_least_is_left_out(void **state)
{
    (void)state;
    check(16, false, "NAME       N\na          7\nlonger  1234\n");
    check(8, false, "NAME\na\nlonger\n");
    check(3, false, "NAME\na\nlonger\n");
}

static void colours_take_no_room(void **state)
{
    (void)state;
    check(8, true, "\x1b[2mNAME\x1b[0m\n\x1b[32ma\x1b[0m\nlonger\n");
}

static void a_cell_cannot_paint_over_the_terminal(void **state)
{
    static const struct column one[] = {{.title = "X"}};
    struct table t;
    struct buf out = {0};
    (void)state;
    table_init(&t, one, 1);
    table_add(&t, TINT_NONE, "a\x1b[2J\nb");
    table_add(&t, TINT_NONE, "\xff\xfe!");
    table_write(&t, 0, false, &out);
    assert_string_equal(buf_cstr(&out), "X\na [2J b\n?"
                                        "?!\n");
    buf_deinit(&out);
    table_deinit(&t);
}

static void figures_are_those_of_docker(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *memory, *moved;
    } sizes[] = {
        {0, "0B", "0B"},
        {1023, "1023B", "1.02kB"},
        {1024, "1.00KiB", "1.02kB"},
        {10 * 1024 * 1024, "10.0MiB", "10.5MB"},
        {(uint64_t)999 << 20, "999MiB", "1.05GB"},
        {(uint64_t)2 << 40, "2.00TiB", "2.20TB"},
        {UINT64_MAX, "16384PiB", "18447PB"},
    };

    static const struct {
        uint64_t ms;
        const char *age;
    } ages[] = {{0, "0s"},          {59999, "59s"},  {60000, "1m"},    {200000, "3m 20s"},
                {7320000, "2h 2m"}, {7200000, "2h"}, {86400000, "1d"}, {270000000, "3d 3h"}};

    char text[HUMAN_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_string_equal(human_memory(text, sizes[i].bytes), sizes[i].memory);
        assert_string_equal(human_bytes(text, sizes[i].bytes), sizes[i].moved);
    }
    for (size_t i = 0; i < ARRAY_LEN(ages); i++)
        assert_string_equal(human_age(text, ages[i].ms), ages[i].age);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned_and_empty_ones_left_out),
        cmocka_unit_test(what_may_shrink_is_cut_between_characters),
        cmocka_unit_test(what_matters_least_is_left_out),
        cmocka_unit_test(colours_take_no_room),
        cmocka_unit_test(a_cell_cannot_paint_over_the_terminal),
        cmocka_unit_test(figures_are_those_of_docker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
