#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base64.h"

#include <cmocka.h>

/* A literal that may hold NUL bytes. */
#define TEXT(lit)                                                                              \
    {                                                                                          \
        lit, sizeof(lit) - 1                                                                   \
    }

static void assert_text(struct buf *b, const char *expected)
{
    assert_string_equal(buf_cstr(b), expected);
    assert_int_equal(b->len, strlen(expected));
    buf_deinit(b);
}

static void base64_has_one_spelling(void **state)
{
    (void)state;

    static const struct {
        struct slice bytes;
        const char *text;
    } cases[] = {
        {TEXT(""), ""},
        {TEXT("f"), "Zg=="},
        {TEXT("fo"), "Zm8="},
        {TEXT("foo"), "Zm9v"},
        {TEXT("foob"), "Zm9vYg=="},
        {TEXT("fooba"), "Zm9vYmE="},
        {TEXT("foobar"), "Zm9vYmFy"},
        {TEXT("\xff\xfe\xfb\x00"), "//77AA=="},
    };

    static const char *const wrong[] = {
        "Zg",   "Zg=",      "Zg===",  "Zh==", "Zm9=", "=",    "==",      "====",
        "Z===", "Zg==Zg==", "Zm9v\n", "Zm 9", "-_8=", "Zm9*", "Zm9\xc3", "Zg=A",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        struct slice text = slice_of(cases[i].text);
        base64_encode(&out, cases[i].bytes);
        assert_text(&out, cases[i].text);
        assert_true(base64_valid(text));
        assert_int_equal(base64_decoded_size(text), cases[i].bytes.len);
        assert_true(base64_decode(&out, text));
        assert_true(slice_eq(buf_slice(&out), cases[i].bytes));
        buf_deinit(&out);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out = {0};
        if (base64_valid(slice_of(wrong[i])) || base64_decode(&out, slice_of(wrong[i])))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(out.len, 0);
        buf_deinit(&out);
    }
}

static void base64_carries_every_byte(void **state)
{
    (void)state;
    char bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct buf text = {0}, back = {0};
        base64_encode(&text, (struct slice){bytes, len});
        assert_true(base64_decode(&back, buf_slice(&text)));
        assert_true(slice_eq(buf_slice(&back), (struct slice){bytes, len}));
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

/* By the book, one bit after the other. */
static void encode_slowly(struct buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++)
            value = value << 1 | (i < len * 8 ? bytes[i / 8] >> (7 - i % 8) & 1 : 0);
        buf_addc(out, digits[value]);
    }
    while (out->len % 4)
        buf_addc(out, '=');
}

static void long_texts_are_the_same_as_short_ones(void **state)
{
    (void)state;
    unsigned char bytes[700];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)((random = random * 1664525 + 1013904223) >> 24);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct buf text = {0}, must = {0}, back = {0};
        buf_adds(&back, "before");
        base64_encode(&text, (struct slice){(const char *)bytes, len});
        encode_slowly(&must, bytes, len);
        assert_true(slice_eq(buf_slice(&text), buf_slice(&must)));
        assert_true(base64_valid(buf_slice(&text)));
        assert_true(base64_decode(&back, buf_slice(&text)));
        assert_int_equal(back.len, 6 + len);
        assert_memory_equal(back.ptr, "before", 6);
        if (len)
            assert_memory_equal(back.ptr + 6, bytes, len);
        buf_deinit(&text);
        buf_deinit(&must);
        buf_deinit(&back);
    }
}

static bool is_digit(int c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '+' || c == '/';
}

static void a_wrong_character_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char digits[160];
    memset(digits, 'k', sizeof(digits));
    const struct slice text = {digits, sizeof(digits)};
    for (size_t at = 0; at < sizeof(digits); at++) {
        for (int c = 0; c < 256; c++) {
            struct buf out = {0};
            digits[at] = (char)c;
            bool good = is_digit(c) || (c == '=' && at == sizeof(digits) - 1);
            if (base64_valid(text) != good || base64_decode(&out, text) != good)
                fail_msg("character %d at %zu", c, at);
            assert_int_equal(out.len > 0, good);
            buf_deinit(&out);
        }
        digits[at] = 'k';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_has_one_spelling),
        cmocka_unit_test(base64_carries_every_byte),
        cmocka_unit_test(long_texts_are_the_same_as_short_ones),
        cmocka_unit_test(a_wrong_character_is_found_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
