#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/value.h"

#include <cmocka.h>

enum { MS = 1000, SECOND = 1000000 };

static void durations_are_read_unit_by_unit(void **state)
{
    static const struct {
        const char *text;
        bool fine;
        enum value_verdict verdict;
        uint64_t us;
    } cases[] = {
        {"300ms", false, VALUE_GOOD, 300 * MS},
        {"30s", false, VALUE_GOOD, 30 * SECOND},
        {"1m30s", false, VALUE_GOOD, 90 * SECOND},
        {"2h", false, VALUE_GOOD, UINT64_C(7200) * SECOND},
        {"1d2h3m4s5ms", false, VALUE_GOOD, UINT64_C(93784005) * MS},
        {"0", false, VALUE_GOOD, 0},
        {"off", false, VALUE_GOOD, 0},
        {"0s", false, VALUE_GOOD, 0},
        {"50us", true, VALUE_GOOD, 50},
        {"1ms500us", true, VALUE_GOOD, 1500},
        {"50us", false, VALUE_BAD, 0},
        {"30", false, VALUE_BARE, 0},
        {"99999999999999999999", false, VALUE_BARE, 0},
        {"", false, VALUE_BAD, 0},
        {"s", false, VALUE_BAD, 0},
        {"-1s", false, VALUE_BAD, 0},
        {"+1s", false, VALUE_BAD, 0},
        {"1.5s", false, VALUE_BAD, 0},
        {"1 s", false, VALUE_BAD, 0},
        {" 1s", false, VALUE_BAD, 0},
        {"1s ", false, VALUE_BAD, 0},
        {"1S", false, VALUE_BAD, 0},
        {"1sec", false, VALUE_BAD, 0},
        {"30s1m", false, VALUE_BAD, 0},
        {"1s1s", false, VALUE_BAD, 0},
        {"1m30", false, VALUE_BAD, 0},
        {"1sx", false, VALUE_BAD, 0},
        {"18446744073709551615us", true, VALUE_GOOD, UINT64_MAX},
        {"18446744073709551616us", true, VALUE_HUGE, 0},
        {"18446744073709551615ms", false, VALUE_HUGE, 0},
        {"99999999999999999999d", false, VALUE_HUGE, 0},
        {"18446744073709551615us1us", true, VALUE_BAD, 0},
        {"213503982d23h", false, VALUE_HUGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t us = 0;
        print_message("%s\n", cases[i].text);
        assert_int_equal(value_duration(slice_of(cases[i].text), cases[i].fine, &us),
                         cases[i].verdict);
        assert_int_equal(us, cases[i].us);
    }
}

static void sizes_are_powers_of_two(void **state)
{
    static const struct {
        const char *text;
        enum value_verdict verdict;
        uint64_t bytes;
    } cases[] = {
        {"512K", VALUE_GOOD, 524288},
        {"8M", VALUE_GOOD, 8388608},
        {"1G", VALUE_GOOD, 1073741824},
        {"64KiB", VALUE_GOOD, 65536},
        {"2MiB", VALUE_GOOD, 2097152},
        {"2GiB", VALUE_GOOD, 2147483648},
        {"8m", VALUE_GOOD, 8388608},
        {"65536", VALUE_GOOD, 65536},
        {"0", VALUE_GOOD, 0},
        {"64KB", VALUE_BAD, 0},
        {"64 K", VALUE_BAD, 0},
        {"K", VALUE_BAD, 0},
        {"", VALUE_BAD, 0},
        {"-1K", VALUE_BAD, 0},
        {"1.5M", VALUE_BAD, 0},
        {"1T", VALUE_BAD, 0},
        {"17179869183G", VALUE_GOOD, UINT64_C(17179869183) << 30},
        {"17179869184G", VALUE_HUGE, 0},
        {"18446744073709551615", VALUE_GOOD, UINT64_MAX},
        {"18446744073709551616", VALUE_HUGE, 0},
        {"99999999999999999999K", VALUE_HUGE, 0},
        {"99999999999999999999X", VALUE_BAD, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 0;
        print_message("%s\n", cases[i].text);
        assert_int_equal(value_size(slice_of(cases[i].text), &bytes), cases[i].verdict);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void what_is_written_reads_back(void **state)
{
    static const struct {
        uint64_t n;
        const char *duration;
        const char *size;
    } cases[] = {
        {0, "0", "0"},
        {1, "1us", "1"},
        {1000, "1ms", "1000"},
        {1024, "1ms24us", "1K"},
        {65536, "65ms536us", "64K"},
        {90 * SECOND, "1m30s", "90000000"},
        {UINT64_C(86400) * SECOND, "1d", "84375000K"},
        {1 << 30, "17m53s741ms824us", "1G"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        uint64_t back = 1;
        value_add_duration(&b, cases[i].n);
        assert_string_equal(buf_cstr(&b), cases[i].duration);
        assert_int_equal(value_duration(buf_slice(&b), true, &back), VALUE_GOOD);
        assert_int_equal(back, cases[i].n);
        buf_clear(&b);
        value_add_size(&b, cases[i].n);
        assert_string_equal(buf_cstr(&b), cases[i].size);
        assert_int_equal(value_size(buf_slice(&b), &back), VALUE_GOOD);
        assert_int_equal(back, cases[i].n);
        buf_deinit(&b);
    }
}

static void words_are_split_as_a_shell_splits_them(void **state)
{
    static const struct {
        const char *text;
        const char *words; /* joined by "|", or the fault after "!" */
    } cases[] = {
        {"", ""},
        {"  \t\n ", ""},
        {"node", "node"},
        {"node app.js --x", "node|app.js|--x"},
        {"  node \t app.js\n", "node|app.js"},
        {"a 'b c' d", "a|b c|d"},
        {"a \"b c\" d", "a|b c|d"},
        {"a'b'\"c\"d", "abcd"},
        {"'' \"\" x", "||x"},
        {"a\\ b c", "a b|c"},
        {"'a\\b'", "a\\b"},
        {"\"a\\b\"", "a\\b"},
        {"\"a\\\"b\\\\c\\$d\\`e\"", "a\"b\\c$d`e"},
        {"'it''s'", "its"},
        {"'\"' \"'\"", "\"|'"},
        {"$HOME *.js ~ > x", "$HOME|*.js|~|>|x"},
        {"a 'b", "!lacks a closing '"},
        {"a \"b", "!lacks a closing \""},
        {"a \"b\\\"", "!lacks a closing \""},
        {"a\\", "!ends in a backslash"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a = {0};
        struct buf joined = {0};
        struct string_list words = {NULL, 0};
        print_message("%s\n", cases[i].text);
        const char *fault = value_words(slice_of(cases[i].text), &a, &words);
        if (fault)
            buf_addf(&joined, "!%s", fault);
        else
            assert_null(words.items[words.count]);
        for (size_t j = 0; j < words.count; j++)
            buf_addf(&joined, "%s%s", j ? "|" : "", words.items[j]);
        assert_string_equal(buf_cstr(&joined), cases[i].words);
        buf_deinit(&joined);
        arena_deinit(&a);
    }
}

static void a_list_of_every_possible_word_fits(void **state)
{
    struct arena a = {0};
    struct string_list words;
    (void)state;
    assert_null(value_words(SLICE("a b c d e f g h i"), &a, &words));
    assert_int_equal(words.count, 9);
    assert_string_equal(words.items[8], "i");
    assert_null(words.items[9]);
    arena_deinit(&a);
}

static void the_nearest_word_is_a_typo_away(void **state)
{
    static const char *const words[] = {"instances", "queue", "queue_timeout", "timeout",
                                        "ttl"};

    static const struct {
        const char *word;
        const char *best;
    } cases[] = {
        {"instnces", "instances"},
        {"instancse", "instances"},
        {"Instances", "instances"},
        {"isntances", "instances"},
        {"queueu", "queue"},
        {"queue_timout", "queue_timeout"},
        {"tiemout", "timeout"},
        {"tll", "ttl"},
        {"xxl", NULL},
        {"replicas", NULL},
        {"", NULL},
        {"memory", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nearest n = nearest_init(slice_of(cases[i].word));
        for (size_t j = 0; j < ARRAY_LEN(words); j++)
            nearest_offer(&n, words[j]);
        print_message("%s\n", cases[i].word);
        if (cases[i].best)
            assert_string_equal(n.best, cases[i].best);
        else
            assert_null(n.best);
    }
}

static void among_equally_near_words_the_first_is_meant(void **state)
{
    struct nearest n = nearest_init(SLICE("queux"));
    (void)state;
    nearest_offer(&n, "queuy");
    nearest_offer(&n, "queue");
    assert_string_equal(n.best, "queuy");
}

static void a_swap_of_neighbours_is_one_mistake(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        unsigned distance;
    } cases[] = {
        {"listen", "listen", 0},  {"listen", "lisetn", 1},    {"listen", "ilsten", 1},
        {"listen", "ilstne", 2},  {"listen", "lisen", 1},     {"listen", "xlisten", 1},
        {"listen", "lixten", 1},  {"listen", "lxxten", 2},    {"listen", "lsitenn", 2},
        {"timeout", "tmeuot", 2}, {"max_body", "maxbody", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nearest n = nearest_init(slice_of(cases[i].a));
        nearest_offer(&n, cases[i].b);
        print_message("%s %s\n", cases[i].a, cases[i].b);
        assert_non_null(n.best);
        assert_int_equal(n.distance, cases[i].distance);
    }
}

static void very_long_words_have_no_neighbours(void **state)
{
    (void)state;
    char word[200];
    memset(word, 'a', sizeof(word));
    word[199] = '\0';
    struct nearest n = nearest_init(slice_of(word));
    nearest_offer(&n, word);
    nearest_offer(&n, "a");
    assert_null(n.best);
    n = nearest_init(SLICE("a"));
    nearest_offer(&n, word);
    assert_null(n.best);
}

static void quoted_text_is_printable_and_short(void **state)
{
    struct arena a = {0};
    (void)state;
    assert_string_equal(value_quote(&a, SLICE("two")), "\"two\"");
    assert_string_equal(value_quote(&a, SLICE("a\0b\n\x7f")), "\"a\\x00b\\x0a\\x7f\"");
    assert_string_equal(value_quote(&a, SLICE("")), "\"\"");
    struct buf b = {0};
    for (int i = 0; i < 59; i++)
        buf_addc(&b, 'x');
    buf_adds(&b, "\xc3\xa4\xc3\xa4");
    const char *quoted = value_quote(&a, buf_slice(&b));
    assert_int_equal(strlen(quoted), 1 + 59 + 4); /* the character that was cut is gone whole */
    assert_string_equal(quoted + 58, "xx...\"");
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_unit_by_unit),
        cmocka_unit_test(sizes_are_powers_of_two),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(words_are_split_as_a_shell_splits_them),
        cmocka_unit_test(a_list_of_every_possible_word_fits),
        cmocka_unit_test(the_nearest_word_is_a_typo_away),
        cmocka_unit_test(among_equally_near_words_the_first_is_meant),
        cmocka_unit_test(a_swap_of_neighbours_is_one_mistake),
        cmocka_unit_test(very_long_words_have_no_neighbours),
        cmocka_unit_test(quoted_text_is_printable_and_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
