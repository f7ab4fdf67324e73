#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/tree.h"

#include <cmocka.h>

enum {
    TIME_TEXT = sizeof("2026-01-02T03:04:05.678Z ") - 1,
    CLOCK_TEXT = sizeof("\x1b[2m12:34:56.789\x1b[0m ") - 1,
};

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

/* What is seen at a terminal, without the time and without what switches colours. */
static const char *seen(struct buf *out)
{
    static char text[4096];
    size_t len = 0;
    const char *p = buf_cstr(out);
    assert_int_equal(strncmp(p, "\x1b[2m", 4), 0);
    for (p += CLOCK_TEXT; *p; p++)
        if (*p == '\x1b')
            p = strchr(p, 'm');
        else if (len < sizeof(text) - 1)
            text[len++] = *p;
    text[len] = '\0';
    return text;
}

static void wrote(enum log_level level, const char *who, struct slice text)
{
    log_write(
        &(struct log_entry){.level = level, .who = who, .stream = "stdout", .text = text});
}

static void a_line_says_when_who_and_what(void **state)
{
    struct buf out = {0};
    int year, month, day, hour, minute, second, ms;
    (void)state;
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    log_line(LOG_INFO, "fib#0", "%s in %d ms", "ready", 12);
    assert_int_equal(sscanf(out.ptr, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year, &month, &day, &hour,
                            &minute, &second, &ms),
                     7);
    assert_string_equal(message(&out), "fib#0 ready in 12 ms\n");
    buf_clear(&out);
    log_line(LOG_INFO, "nodey", "nodey ready on http://a");
    assert_string_equal(message(&out), "nodey ready on http://a\n");
    buf_deinit(&out);
}

static void levels_are_marked_and_filtered(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_WARN, LOG_PLAIN, keep, &out);
    log_line(LOG_DEBUG, "a", "no");
    log_line(LOG_INFO, "a", "no");
    assert_int_equal(out.len, 0);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_ERROR));
    log_line(LOG_WARN, "a", "w");
    assert_string_equal(message(&out), "a warning: w\n");
    buf_clear(&out);
    wrote(LOG_ERROR, "a", SLICE("e"));
    assert_string_equal(message(&out), "a | error: e\n");
    buf_deinit(&out);
}

/* Else a worker could paint over the terminal, or forge a line. */
static void control_characters_are_shown_not_sent(void **state)
{
    struct buf out = {0};
    (void)state;
    for (int pretty = 0; pretty < 2; pretty++) {
        log_setup(LOG_DEBUG, pretty ? LOG_COLOURED : LOG_PLAIN, keep, &out);
        wrote(LOG_INFO, "a", SLICE("\x1b[2J\r\0\x7f\ttab \xc3\xa9 \xc2\x9b \xff"));
        const char *text = pretty ? seen(&out) : message(&out);
        assert_non_null(
            strstr(text, "\\x1b[2J\\x0d\\x00\\x7f\ttab \xc3\xa9 \\xc2\\x9b \\xff\n"));
        buf_clear(&out);
    }
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    log_write(&(struct log_entry){.level = LOG_ERROR,
                                  .who = "a",
                                  .text = SLICE("x"),
                                  .request = SLICE("GET /\x1b"),
                                  .request_id = SLICE("id\x1b")});
    assert_null(strchr(buf_cstr(&out), '\x1b'));
    buf_deinit(&out);
}

static void lines_after_the_first_are_indented(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    wrote(LOG_INFO, "a", SLICE("one\n  two\n\n"));
    assert_string_equal(message(&out), "a | one\n      two\n");
    buf_clear(&out);
    log_setup(LOG_INFO, LOG_COLOURED, keep, &out);
    wrote(LOG_INFO, "a", SLICE("one\n  two\n"));
    const char *text = seen(&out), *second = strchr(text, '\n') + 1;
    size_t time = strlen("12:34:56.789 ");
    assert_int_equal(strcspn(second, "|"), time + strcspn(text, "|"));
    assert_non_null(strstr(second, "|   two\n"));
    buf_deinit(&out);
}

static void long_texts_are_cut(void **state)
{
    struct buf out = {0}, text = {0};
    (void)state;
    memset(buf_reserve(&text, 20000), 'x', 20000);
    text.len = 20000;
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    wrote(LOG_INFO, "a", buf_slice(&text));
    assert_in_range(out.len, 8192, 8300);
    buf_deinit(&out);
    buf_deinit(&text);
}

static json_t *tree_of(struct buf *out)
{
    json_error_t error;
    assert_int_equal(out->ptr[out->len - 1], '\n');
    assert_ptr_equal(memchr(out->ptr, '\n', out->len), out->ptr + out->len - 1);
    json_t *tree = json_loadb(out->ptr, out->len, 0, &error);
    assert_non_null(tree);
    return tree;
}

static const char *member(json_t *tree, const char *name)
{
    return json_string_value(json_object_get(tree, name));
}

static void json_lines_are_json_whatever_is_in_them(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_JSON, keep, &out);
    wrote(LOG_WARN, "a\"b", SLICE("\"quoted\" \\ \n\x01 \xff \xc3\xa9"));
    json_t *tree = tree_of(&out);
    assert_string_equal(member(tree, "level"), "warn");
    assert_string_equal(member(tree, "who"), "a\"b");
    assert_string_equal(member(tree, "stream"), "stdout");
    assert_string_equal(member(tree, "message"), "\"quoted\" \\ \n\x01 \xef\xbf\xbd \xc3\xa9");
    assert_int_equal(strlen(member(tree, "time")), strlen("2026-01-02T03:04:05.678Z"));
    assert_null(json_object_get(tree, "request_id"));
    json_decref(tree);
    buf_clear(&out);
    log_line(LOG_INFO, "nodey", "plain");
    assert_null(strstr(buf_cstr(&out), "stream"));
    buf_deinit(&out);
}

static const struct log_entry failed = {
    .level = LOG_ERROR,
    .who = "fib#0",
    .stream = "log",
    .text = {"Boom\n  at line 1", 16},
    .fields = {"{\"n\":1}", 7},
    .request = {"GET /fib?num=x", 14},
    .request_id = {"00000000000000001f2e3d4c", 24},
};

static void an_error_names_its_request(void **state)
{
    struct buf out = {0};
    struct log_entry named = failed;
    (void)state;
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    log_write(&failed);
    assert_string_equal(message(&out), "fib#0 | error: Boom n=1 (GET /fib?num=x, request "
                                       "1f2e3d4c)\n      at line 1\n");
    buf_clear(&out);
    named.text = SLICE("GET /fib failed: Boom");
    log_write(&named);
    assert_string_equal(message(&out),
                        "fib#0 | error: GET /fib failed: Boom n=1 (request 1f2e3d4c)\n");
    buf_clear(&out);
    named.level = LOG_INFO;
    log_write(&named);
    assert_null(strstr(buf_cstr(&out), "1f2e3d4c"));
    buf_clear(&out);
    log_setup(LOG_INFO, LOG_JSON, keep, &out);
    log_write(&failed);
    json_t *tree = tree_of(&out);
    assert_string_equal(member(tree, "request_id"), "00000000000000001f2e3d4c");
    assert_string_equal(member(tree, "request"), "GET /fib?num=x");
    assert_string_equal(member(tree, "message"), "Boom\n  at line 1");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(tree, "fields"), "n")),
                     1);
    json_decref(tree);
    buf_deinit(&out);
}

/* The escape that switches to the name's colour. */
static size_t colour_len(const char *at)
{
    assert_int_equal(strncmp(at, "\x1b[", 2), 0);
    return strcspn(at, "m") + 1;
}

static void a_name_has_one_colour(void **state)
{
    struct buf first = {0}, second = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_COLOURED, keep, &first);
    log_line(LOG_INFO, "fib#0", "x");
    log_setup(LOG_INFO, LOG_COLOURED, keep, &second);
    log_line(LOG_INFO, "fib#7", "x");
    const char *a = buf_cstr(&first) + CLOCK_TEXT, *b = buf_cstr(&second) + CLOCK_TEXT;
    assert_memory_equal(a, b, colour_len(a));
    assert_string_equal(seen(&first), "fib#0 x\n");
    assert_null(strstr(buf_cstr(&first), "\x1b[31m"));
    buf_deinit(&first);
    buf_deinit(&second);
}

static void the_column_grows_with_the_names_to_a_point(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_COLOURED, keep, &out);
    log_line(LOG_INFO, "a", "x");
    assert_string_equal(seen(&out), "a     x\n");
    buf_clear(&out);
    log_line(LOG_INFO, "elevenchars", "x");
    buf_clear(&out);
    log_line(LOG_INFO, "a", "x");
    assert_string_equal(seen(&out), "a           x\n");
    buf_clear(&out);
    log_line(LOG_INFO, "a-name-of-more-than-twenty-characters", "x");
    buf_clear(&out);
    log_line(LOG_INFO, "a", "x");
    assert_string_equal(seen(&out), "a                    x\n");
    buf_deinit(&out);
}

static void colour_is_for_who_wants_it(void **state)
{
    static const struct {
        const char *no, *force, *clicolor;
        bool wanted; /* by a descriptor that is no terminal */
    } cases[] = {
        {NULL, NULL, NULL, false}, {NULL, "1", NULL, true}, {NULL, "0", NULL, false},
        {NULL, "", NULL, false},   {NULL, NULL, "1", true}, {NULL, NULL, "0", false},
        {"1", "1", "1", false},    {"", "1", NULL, true},
    };

    int pipes[2];
    (void)state;
    assert_int_equal(pipe(pipes), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cases[i].no ? setenv("NO_COLOR", cases[i].no, 1) : unsetenv("NO_COLOR");
        cases[i].force ? setenv("FORCE_COLOR", cases[i].force, 1) : unsetenv("FORCE_COLOR");
        cases[i].clicolor ? setenv("CLICOLOR_FORCE", cases[i].clicolor, 1)
                          : unsetenv("CLICOLOR_FORCE");
        assert_int_equal(log_wants_colour(pipes[1]), cases[i].wanted);
    }
    close(pipes[0]);
    close(pipes[1]);
}

static void what_is_for_a_terminal_goes_nowhere_else(void **state)
{
    struct buf out = {0};
    (void)state;
    log_setup(LOG_INFO, LOG_PLAIN, keep, &out);
    log_show(SLICE("hello\n"));
    log_setup(LOG_INFO, LOG_JSON, keep, &out);
    log_show(SLICE("hello\n"));
    assert_int_equal(out.len, 0);
    log_setup(LOG_INFO, LOG_COLOURED, keep, &out);
    log_show(SLICE("hello\n"));
    assert_string_equal(buf_cstr(&out), "hello\n");
    buf_deinit(&out);
}

static void without_a_sink_nothing_happens(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_PLAIN, NULL, NULL);
    log_line(LOG_ERROR, "a", "lost");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_when_who_and_what),
        cmocka_unit_test(levels_are_marked_and_filtered),
        cmocka_unit_test(control_characters_are_shown_not_sent),
        cmocka_unit_test(lines_after_the_first_are_indented),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(json_lines_are_json_whatever_is_in_them),
        cmocka_unit_test(an_error_names_its_request),
        cmocka_unit_test(a_name_has_one_colour),
        cmocka_unit_test(the_column_grows_with_the_names_to_a_point),
        cmocka_unit_test(colour_is_for_who_wants_it),
        cmocka_unit_test(what_is_for_a_terminal_goes_nowhere_else),
        cmocka_unit_test(without_a_sink_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
