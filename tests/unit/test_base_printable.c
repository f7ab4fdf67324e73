#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/printable.h"

#include <cmocka.h>

static void check(struct slice text, bool colours, const char *expected)
{
    struct buf out = {0};
    printable_add(&out, text,
                  &(struct printable){.colours = colours, .indent = 2, .gutter = "> "});
    assert_string_equal(buf_cstr(&out), expected);
    buf_deinit(&out);
}

static void what_could_move_the_cursor_is_spelled_out(void **state)
{
    (void)state;
    check(SLICE("a\tb \xc3\xa9"), true, "a\tb \xc3\xa9");
    check(SLICE("\x1b[2J\r\0\x7f\b"), true, "\\x1b[2J\\x0d\\x00\\x7f\\x08");
    check(SLICE("\xc2\x9b \xff \xf0\x9f\x98"), true, "\\xc2\\x9b \\xff \\xf0\\x9f\\x98");
    check(SLICE(""), true, "");
}

static void colours_pass_where_they_are_wanted_and_end(void **state)
{
    (void)state;
    check(SLICE("a \x1b[1;31mred"), true, "a \x1b[1;31mred\x1b[0m");
    check(SLICE("a \x1b[1;31mred\x1b[m b"), false, "a red b");
    check(SLICE("\x1b[38:5:1mx"), false, "x");
}

/* What only begins like a colour could be anything. */
static void only_whole_colours_are_colours(void **state)
{
    (void)state;
    check(SLICE("\x1b[31"), true, "\\x1b[31");
    check(SLICE("\x1b[3\nm"), true, "\\x1b[3\n  > m");
    check(SLICE("\x1b[?25m\x1b[3K\x1b"), true, "\\x1b[?25m\\x1b[3K\\x1b");
    check(SLICE("\x1b["), false, "\\x1b[");
}

static void further_lines_are_indented(void **state)
{
    (void)state;
    check(SLICE("one\ntwo\n\nfour"), false, "one\n  > two\n  > \n  > four");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_could_move_the_cursor_is_spelled_out),
        cmocka_unit_test(colours_pass_where_they_are_wanted_and_end),
        cmocka_unit_test(only_whole_colours_are_colours),
        cmocka_unit_test(further_lines_are_indented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
