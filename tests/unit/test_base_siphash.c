#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"

#include <cmocka.h>

/* As CPython hashes bytes with PYTHONHASHSEED=0. */
static void it_is_siphash_1_3(void **state)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"a", UINT64_C(0x407448d2b89b1813)},
        {"abcdefg", UINT64_C(0x6db12aae9070f506)},
        {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
        {"/path/of/16bytes and some more", UINT64_C(0xcead8154bd1d7f2b)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(siphash(&(struct siphash_key){{0}}, slice_of(cases[i].text)),
                         cases[i].hash);
}

/* The first of the vectors for the key 00 01 .. 0f. */
static void the_key_counts(void **state)
{
    struct siphash_key key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
    (void)state;
    assert_int_equal(siphash(&key, SLICE("")), UINT64_C(0xabac0158050fc4dc));
}

static void every_byte_and_the_length_count(void **state)
{
    struct siphash_key key = siphash_key_new();
    char bytes[40] = {0};
    (void)state;
    for (size_t len = 0; len < sizeof(bytes); len++) {
        uint64_t plain = siphash(&key, (struct slice){bytes, len});
        assert_int_not_equal(plain, siphash(&key, (struct slice){bytes, len + 1}));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)0x80;
            assert_int_not_equal(plain, siphash(&key, (struct slice){bytes, len}));
            bytes[i] = 0;
        }
    }
}

static void keys_differ(void **state)
{
    struct siphash_key a = siphash_key_new();
    struct siphash_key b = siphash_key_new();
    (void)state;
    assert_int_not_equal(siphash(&a, SLICE("x")), siphash(&b, SLICE("x")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_siphash_1_3),
        cmocka_unit_test(the_key_counts),
        cmocka_unit_test(every_byte_and_the_length_count),
        cmocka_unit_test(keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
