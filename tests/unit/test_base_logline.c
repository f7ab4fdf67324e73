#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/logline.h"

#include <cmocka.h>

static const struct {
    const char *line;
    enum log_level level;
    const char *message; /* NULL: it has none */
    const char *fields;
} lines[] = {
    {"{\"level\":30,\"msg\":\"m\",\"a\":1}", LOG_INFO, "m", " a=1"},
    {"{\"level\":10,\"msg\":\"m\"}", LOG_DEBUG, "m", ""},
    {"{\"level\":40,\"msg\":\"m\"}", LOG_WARN, "m", ""},
    {"{\"level\":60,\"msg\":\"m\"}", LOG_ERROR, "m", ""},
    {"{\"level\":35,\"msg\":\"m\"}", LOG_INFO, "m", ""},
    {"{\"level\":-1,\"msg\":\"m\"}", LOG_INFO, "m", ""},
    {"{\"level\":\"WARNING\",\"message\":\"m\"}", LOG_WARN, "m", ""},
    {"{\"level\":\"critical\",\"event\":\"m\"}", LOG_ERROR, "m", ""},
    {"{\"severity\":\"DEBUG\",\"event\":\"m\"}", LOG_DEBUG, "m", ""},
    {"{\"level\":null,\"msg\":\"m\"}", LOG_INFO, "m", ""},
    {"{\"msg\":1,\"message\":\"m\"}", LOG_INFO, "m", " msg=1"},
    {"{\"msg\":\"m\",\"event\":\"e\"}", LOG_INFO, "m", " event=e"},
    {" \t{\"msg\":\"m\",\"pid\":1,\"time\":2,\"hostname\":\"h\"} \r", LOG_INFO, "m", ""},
    {"{\"a\":\"b c\",\"d\":\"\",\"e\":\"x=y\",\"f\":[1, 2],\"g\":null}", LOG_INFO, NULL,
     " a=\"b c\" d=\"\" e=\"x=y\" f=[1, 2] g=null"},
    {"{\"a\":\"\\u0041\",\"b\":{\"msg\":\"inner\"}}", LOG_INFO, NULL,
     " a=\"\\u0041\" b={\"msg\":\"inner\"}"},
};

static void structured_lines_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct logline found;
        struct buf message = {0}, fields = {0};
        assert_true(logline_read(slice_of(lines[i].line), &found));
        assert_int_equal(found.level, lines[i].level);
        assert_true(slice_is(found.object, lines[i].line));
        if (found.message.raw.len)
            json_unescape(&found.message, &message);
        assert_int_equal(found.message.raw.len == 0, lines[i].message == NULL);
        assert_string_equal(buf_cstr(&message), lines[i].message ? lines[i].message : "");
        logline_add_fields(&fields, found.object, true);
        assert_string_equal(buf_cstr(&fields), lines[i].fields);
        buf_deinit(&message);
        buf_deinit(&fields);
    }
}

static void what_is_no_object_stays_text(void **state)
{
    static const struct slice others[] = {
        {"", 0},
        {"{", 1},
        {"{}", 2},
        {"[1]", 3},
        {"{\"a\":1", 6},
        {"{\"a\":1} x}", 10},
        {"{\"a\":1}{\"b\":1}", 14},
        {"{a:1}", 5},
        {"{\"a\":\"\xff\"}", 9},
        {"{\"a\":\"\\ud800\"}", 14},
        {"{\"a\":\"\n\"}", 9},
    };
    struct logline found;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(logline_read(others[i], &found));
}

static void what_has_very_many_members_is_no_line_of_a_log(void **state)
{
    struct buf text = {0};
    struct logline found;
    (void)state;
    for (int count = LOGLINE_MAX; count <= LOGLINE_MAX + 1; count++) {
        buf_clear(&text);
        buf_addc(&text, '{');
        for (int i = 0; i < count; i++)
            buf_addf(&text, "%s\"k%d\":%d", i ? "," : "", i, i);
        buf_addc(&text, '}');
        assert_int_equal(logline_read(buf_slice(&text), &found), count == LOGLINE_MAX);
    }
    buf_deinit(&text);
}

static void fields_of_a_frame_are_all_shown(void **state)
{
    struct buf out = {0};
    (void)state;
    logline_add_fields(&out, SLICE("{\"msg\":\"m\",\"level\":1,\"time\":2}"), false);
    assert_string_equal(buf_cstr(&out), " msg=m level=1 time=2");
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structured_lines_are_taken_apart),
        cmocka_unit_test(what_is_no_object_stays_text),
        cmocka_unit_test(what_has_very_many_members_is_no_line_of_a_log),
        cmocka_unit_test(fields_of_a_frame_are_all_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
