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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_has_one_spelling),
        cmocka_unit_test(base64_carries_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
