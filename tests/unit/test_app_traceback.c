/* Which places does a stack name? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "app/traceback.h"
#include "base/base.h"

#include <cmocka.h>

static void a_line_names_a_place_or_none(void **state)
{
    static const struct {
        const char *line;
        const char *file; /* NULL: no place */
        unsigned number;
        const char *where;
    } cases[] = {
        {"  File \"/app/fib.py\", line 12, in fib", "/app/fib.py", 12, "fib"},
        {"  File \"/app/fib.py\", line 3", "/app/fib.py", 3, ""},
        {"  File \"/a \\\"b/fib.py\", line 1, in <module>", "/a \\\"b/fib.py", 1, "<module>"},
        {"  File \"<string>\", line 1, in <module>", NULL, 0, ""},
        {"  File \"fib.py\", line 1", NULL, 0, ""},
        {"  File \"/app/fib.py\", line 0", NULL, 0, ""},
        {"  File \"/app/fib.py\", line 99999999999999999999", NULL, 0, ""},
        {"  File \"/app/fib.py", NULL, 0, ""},
        {"    at sum (/app/add.js:4:24)", "/app/add.js", 4, "sum"},
        {"    at async Object.sum [as x] (/app/add.js:4:24)", "/app/add.js", 4,
         "async Object.sum [as x]"},
        {"    at /app/add.js:4:24", "/app/add.js", 4, ""},
        {"    at async /app/add.js:4:24", "/app/add.js", 4, ""},
        {"    at file:///app/a%20b.mjs:7:1", "/app/a b.mjs", 7, ""},
        {"    at f (file:///app/add.mjs:7:1)", "/app/add.mjs", 7, "f"},
        {"    at node:internal/main:7:1", NULL, 0, ""},
        {"    at f (native)", NULL, 0, ""},
        {"    at f (/app/x%00.js:1:1)", "/app/x%00.js", 1, "f"},
        {"    at f (file:///app/x%00.js:1:1)", NULL, 0, ""},
        {"/app/bad.js:3", "/app/bad.js", 3, ""},
        {"file:///app/bad.mjs:3", "/app/bad.mjs", 3, ""},
        {"  /app/bad.js:3", NULL, 0, ""},
        {"said /app/bad.js:3", NULL, 0, ""},
        {"at", NULL, 0, ""},
        {"at ", NULL, 0, ""},
        {":3", NULL, 0, ""},
        {"", NULL, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trace_frame frame;
        size_t at = 0;
        bool found = traceback_next(slice_of(cases[i].line), &at, &frame);
        if (found != (cases[i].file != NULL))
            fail_msg("\"%s\": %s", cases[i].line, found ? frame.file : "no place");
        if (!found)
            continue;
        assert_string_equal(frame.file, cases[i].file);
        assert_int_equal(frame.line, cases[i].number);
        assert_true(slice_is(frame.where, cases[i].where));
        assert_false(traceback_next(slice_of(cases[i].line), &at, &frame));
    }
}

static void places_come_in_the_order_of_the_text(void **state)
{
    static const char text[] = "Traceback (most recent call last):\n"
                               "  File \"/a.py\", line 1, in f\n"
                               "    g()\n"
                               "  File \"/b.py\", line 2, in g\n"
                               "ValueError: at nothing\n";
    struct trace_frame frame;
    size_t at = 0;
    (void)state;
    assert_true(traceback_is_python(slice_of(text)));
    assert_true(traceback_next(slice_of(text), &at, &frame));
    assert_string_equal(frame.file, "/a.py");
    assert_true(traceback_next(slice_of(text), &at, &frame));
    assert_string_equal(frame.file, "/b.py");
    assert_false(traceback_next(slice_of(text), &at, &frame));
    assert_false(traceback_is_python(SLICE("Error\n    at f (/a.js:1:1)")));
}

static void a_path_that_is_too_long_is_no_place(void **state)
{
    char text[3000];
    struct trace_frame frame;
    size_t at = 0;
    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "  File \"/", 9);
    snprintf(text + 2000, 100, "\", line 1");
    assert_false(traceback_next(slice_of(text), &at, &frame));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_a_place_or_none),
        cmocka_unit_test(places_come_in_the_order_of_the_text),
        cmocka_unit_test(a_path_that_is_too_long_is_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
