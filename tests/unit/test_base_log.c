#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "tests/unit/tree.h"

#include <cmocka.h>

enum { TIME_TEXT = sizeof("12:34:56.789 ") - 1 };

static void keep(void *arg, struct slice line)
{
    buf_add(arg, line);
}

/* What was logged, without the time in front. */
static const char *message(struct buf *out)
{
    const char *text = buf_cstr(out);
    assert_true(strlen(text) > TIME_TEXT);
    return text + TIME_TEXT;
}

static void a_line_says_when_who_and_what(void **state)
{
    struct buf out = {0};
    int hour, minute, second, ms;
    (void)state;
    log_setup(LOG_INFO, false, false, keep, &out);
    log_line(LOG_INFO, "fib#0", "%s in %d ms", "ready", 12);
    assert_int_equal(sscanf(out.ptr, "%2d:%2d:%2d.%3d", &hour, &minute, &second, &ms), 4);
    assert_string_equal(message(&out), "fib#0      ready in 12 ms\n");
    buf_deinit(&out);
}

static void levels_are_marked_and_filtered(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_WARN, false, false, keep, &out);
    log_line(LOG_DEBUG, "a", "no");
    log_line(LOG_INFO, "a", "no");
    assert_int_equal(out.len, 0);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_ERROR));
    log_line(LOG_WARN, "a", "w");
    assert_string_equal(message(&out), "a          warning: w\n");
    buf_clear(&out);
    log_line(LOG_ERROR, "a", "e");
    assert_string_equal(message(&out), "a          error: e\n");
    buf_deinit(&out);
}

/* Else a worker could paint over the terminal, or forge a line. */
static void control_characters_are_shown_not_sent(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_DEBUG, false, false, keep, &out);
    log_text(LOG_INFO, "a", "stdout", SLICE("\x1b[2J\r\0\x7f\ttab \xc3\xa9"));
    assert_string_equal(message(&out), "a          \\x1b[2J\\x0d\\x00\\x7f\ttab \xc3\xa9\n");
    buf_clear(&out);
    log_text(LOG_INFO, "a", "stdout", SLICE("one\ntwo"));
    assert_string_equal(message(&out), "a          one\n    two\n");
    buf_deinit(&out);
}

static void long_texts_are_cut(void **state)
{
    struct buf out = {0}, text = {0};
    (void)state;
    memset(buf_reserve(&text, 20000), 'x', 20000);
    text.len = 20000;
    log_setup(LOG_INFO, false, false, keep, &out);
    log_text(LOG_INFO, "a", "stdout", buf_slice(&text));
    assert_in_range(out.len, 8192, 8300);
    buf_deinit(&out);
    buf_deinit(&text);
}

static void json_lines_are_json_whatever_is_in_them(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, true, true, keep, &out);
    log_text(LOG_WARN, "a\"b", "stderr", SLICE("\"quoted\" \\ \n\x01 \xff \xc3\xa9"));
    assert_int_equal(out.ptr[out.len - 1], '\n');
    json_error_t error;
    json_t *tree = json_loadb(out.ptr, out.len, 0, &error);
    assert_non_null(tree);
    assert_string_equal(json_string_value(json_object_get(tree, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(tree, "who")), "a\"b");
    assert_string_equal(json_string_value(json_object_get(tree, "stream")), "stderr");
    assert_string_equal(json_string_value(json_object_get(tree, "message")),
                        "\"quoted\" \\ \n\x01 \xef\xbf\xbd \xc3\xa9");
    const char *time = json_string_value(json_object_get(tree, "time"));
    assert_int_equal(strlen(time), strlen("2026-01-02T03:04:05.678Z"));
    json_decref(tree);
    buf_clear(&out);
    log_line(LOG_INFO, "nodey", "plain");
    assert_null(strstr(buf_cstr(&out), "stream"));
    buf_deinit(&out);
}

static void a_name_has_one_colour(void **state)
{
    struct buf first = {0}, second = {0};
    (void)state;
    log_setup(LOG_INFO, false, true, keep, &first);
    log_line(LOG_INFO, "fib#0", "x");
    log_setup(LOG_INFO, false, true, keep, &second);
    log_line(LOG_INFO, "fib#7", "x");
    const char *a = message(&first), *b = message(&second);
    assert_int_equal(strncmp(a, "\x1b[", 2), 0);
    assert_memory_equal(a, b, strcspn(a, "m"));
    assert_non_null(strstr(a, "\x1b[0m\n"));
    buf_deinit(&first);
    buf_deinit(&second);
}

static void without_a_sink_nothing_happens(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, false, false, NULL, NULL);
    log_line(LOG_ERROR, "a", "lost");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_when_who_and_what),
        cmocka_unit_test(levels_are_marked_and_filtered),
        cmocka_unit_test(control_characters_are_shown_not_sent),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(json_lines_are_json_whatever_is_in_them),
        cmocka_unit_test(a_name_has_one_colour),
        cmocka_unit_test(without_a_sink_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
