#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"
#include "base/utf8_check.h"

#include <cmocka.h>

/* The number of bytes up to and with the first that cannot be there; 0 = there is none. */
static size_t first_bad(struct slice text, size_t step)
{
    struct utf8_check check = {0};
    for (size_t at = 0; at < text.len; at += step)
        if (!utf8_check_add(&check, (struct slice){text.ptr + at, MIN(step, text.len - at)}))
            return at + 1;
    return 0;
}

static void a_fault_is_told_at_its_first_byte(void **state)
{
    static const struct {
        struct slice text;
        size_t bad;
    } cases[] = {
        {{"plain", 5}, 0},
        {{"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5", 11}, 0},
        {{"\xF0\x9F\x98\x80", 4}, 0},
        {{"\xF4\x8F\xBF\xBF", 4}, 0},
        {{"\xED\x9F\xBF\xEE\x80\x80", 6}, 0},
        {{"\x80", 1}, 1},
        {{"a\xBF", 2}, 2},
        {{"\xC0\x80", 2}, 1},
        {{"\xC1\xBF", 2}, 1},
        {{"\xC2\x7F", 2}, 2},
        {{"\xE0\x9F\xBF", 3}, 2},
        {{"\xED\xA0\x80", 3}, 2},
        {{"\xE1\x80\xC0", 3}, 3},
        {{"\xF0\x8F\xBF\xBF", 4}, 2},
        {{"\xF4\x90\x80\x80", 4}, 2},
        {{"\xF5\x80\x80\x80", 4}, 1},
        {{"\xFE", 1}, 1},
        {{"\xFF", 1}, 1},
        {{"\xF1\x80\x80\x80\x80", 5}, 5},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = cases[i].text;
        assert_int_equal(first_bad(text, 1), cases[i].bad);
        assert_int_equal(first_bad(text, text.len) != 0, cases[i].bad != 0);
    }
}

static void an_open_character_is_no_end(void **state)
{
    struct utf8_check check = {0};
    (void)state;
    assert_true(utf8_check_whole(&check));
    assert_true(utf8_check_add(&check, SLICE("long plain text, and then \xF0\x9F")));
    assert_false(utf8_check_whole(&check));
    assert_true(utf8_check_add(&check, SLICE("\x98")));
    assert_false(utf8_check_whole(&check));
    assert_true(utf8_check_add(&check, SLICE("\x80")));
    assert_true(utf8_check_whole(&check));
}

/* All that four bytes from the interesting ones can be, cut at every place. */
static void it_agrees_with_the_whole_check(void **state)
{
    static const unsigned char bytes[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1,
                                          0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF4, 0xF5};

    enum { COUNT = ARRAY_LEN(bytes), ALL = COUNT * COUNT * COUNT * COUNT };

    (void)state;
    for (size_t n = 0; n < ALL; n++) {
        char text[4] = {(char)bytes[n % COUNT], (char)bytes[n / COUNT % COUNT],
                        (char)bytes[n / COUNT / COUNT % COUNT],
                        (char)bytes[n / COUNT / COUNT / COUNT]};
        bool valid = utf8_valid((struct slice){text, sizeof(text)});
        for (size_t cut = 0; cut <= sizeof(text); cut++) {
            struct utf8_check check = {0};
            bool same =
                utf8_check_add(&check, (struct slice){text, cut}) &&
                utf8_check_add(&check, (struct slice){text + cut, sizeof(text) - cut}) &&
                utf8_check_whole(&check);
            assert_int_equal(same, valid);
        }
    }
}

/* A byte that is not ASCII at every place of long text: none is skipped over. */
static void no_byte_of_long_text_is_missed(void **state)
{
    char text[67];
    (void)state;
    for (size_t at = 0; at < sizeof(text); at++) {
        struct utf8_check check = {0};
        memset(text, 'x', sizeof(text));
        text[at] = '\x80';
        assert_false(utf8_check_add(&check, (struct slice){text, sizeof(text)}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_told_at_its_first_byte),
        cmocka_unit_test(an_open_character_is_no_end),
        cmocka_unit_test(it_agrees_with_the_whole_check),
        cmocka_unit_test(no_byte_of_long_text_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
