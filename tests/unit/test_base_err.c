#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

#include <cmocka.h>

static void a_sentence_and_a_code_are_kept(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(err_set(&err, -2, "cannot open %s (%d)", "x", 7), -2);
    assert_int_equal(err.code, -2);
    assert_string_equal(err.text, "cannot open x (7)");
    assert_int_equal(err_set(&err, -1, "another"), -1);
    assert_int_equal(err.code, -1);
    assert_string_equal(err.text, "another");
}

static void a_sentence_that_is_too_long_is_cut(void **state)
{
    struct err err;
    char large[2000];
    (void)state;
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    assert_int_equal(err_set(&err, -1, "%s", large), -1);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    large[sizeof(err.text) - 1] = '\0';
    assert_int_equal(err_set(&err, -1, "%s", large), -1);
    assert_string_equal(err.text, large);
}

static void a_callers_code_passes_through_a_return(void **state)
{
    (void)state;
    struct err err = {0};
    int code = err_set(&err, -110, "%s", "");
    assert_int_equal(code, -110);
    assert_string_equal(err.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_and_a_code_are_kept),
        cmocka_unit_test(a_sentence_that_is_too_long_is_cut),
        cmocka_unit_test(a_callers_code_passes_through_a_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
