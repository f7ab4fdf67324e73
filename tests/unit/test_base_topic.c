/* Topics and patterns: which are some, what matches what, and which have a topic in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/topic.h"

#include <cmocka.h>

static void what_is_a_topic_and_what_a_pattern(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        bool topic, pattern;
    } rows[] = {
        {"a", true, true},       {"comment.created", true, true},
        {"A-b_9.x", true, true}, {"", false, false},
        {".", false, false},     {".a", false, false},
        {"a.", false, false},    {"a..b", false, false},
        {"a b", false, false},   {"\xc3\xa4", false, false},
        {"*", false, true},      {">", false, true},
        {"a.*.b", false, true},  {"a.>", false, true},
        {"*.>", false, true},    {">.a", false, false},
        {"a*", false, false},    {"a.>b", false, false},
        {"a.**", false, false},  {"a/b", false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *topic = topic_check(slice_of(rows[i].text));
        const char *pattern = topic_pattern_check(slice_of(rows[i].text));
        if (!topic != rows[i].topic || !pattern != rows[i].pattern)
            fail_msg("%s: %s, %s", rows[i].text, topic ? topic : "a topic",
                     pattern ? pattern : "a pattern");
    }
    char longest[TOPIC_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_null(topic_check((struct slice){longest, TOPIC_MAX}));
    assert_non_null(topic_check((struct slice){longest, TOPIC_MAX + 1}));
    assert_non_null(topic_check((struct slice){"a\0b", 3}));
}

static void what_a_pattern_matches(void **state)
{
    (void)state;

    static const struct {
        const char *pattern, *topic;
        bool matches;
    } rows[] = {
        {"a", "a", true},         {"a", "b", false},         {"a", "a.b", false},
        {"a.b", "a", false},      {"a.b", "a.b", true},      {"a.b", "a.bc", false},
        {"*", "a", true},         {"*", "a.b", false},       {"a.*", "a.b", true},
        {"a.*", "a", false},      {"a.*", "a.b.c", false},   {"*.b", "a.b", true},
        {"a.*.c", "a.b.c", true}, {"a.*.c", "a.b.d", false}, {">", "a", true},
        {">", "a.b.c", true},     {"a.>", "a.b", true},      {"a.>", "a.b.c", true},
        {"a.>", "a", false},      {"a.>", "b.c", false},     {"*.>", "a", false},
        {"*.>", "a.b", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (topic_matches(slice_of(rows[i].pattern), slice_of(rows[i].topic)) !=
            rows[i].matches)
            fail_msg("%s and %s", rows[i].pattern, rows[i].topic);
}

static void which_patterns_have_a_topic_in_common(void **state)
{
    (void)state;

    static const struct {
        const char *a, *b;
        bool overlap;
    } rows[] = {
        {"a", "a", true},       {"a", "b", false},     {"a.*", "a.b", true},
        {"a.*", "*.b", true},   {"a.*", "b.*", false}, {"a.*", "a.*.c", false},
        {">", "a.b", true},     {"a.>", "a", false},   {"a.>", "a.*", true},
        {"a.>", "*.b", true},   {"a.>", "b.>", false}, {"*.x.>", "a.>", true},
        {"a.b.>", "a.>", true}, {"*.*", "a.>", true},  {"*", "a.>", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice a = slice_of(rows[i].a), b = slice_of(rows[i].b);
        if (topic_patterns_overlap(a, b) != rows[i].overlap ||
            topic_patterns_overlap(b, a) != rows[i].overlap)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_topic_and_what_a_pattern),
        cmocka_unit_test(what_a_pattern_matches),
        cmocka_unit_test(which_patterns_have_a_topic_in_common),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
