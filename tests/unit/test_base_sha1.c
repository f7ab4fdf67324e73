#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/sha1.h"

#include <cmocka.h>

static void assert_digest(struct slice bytes, const char *expected)
{
    unsigned char digest[SHA1_BYTES];
    char hex[2 * SHA1_BYTES + 1];
    sha1_digest(bytes, digest);
    for (size_t i = 0; i < SHA1_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

/* RFC 3174, 7.3, and FIPS 180. */
static void known_texts_have_their_digests(void **state)
{
    (void)state;
    assert_digest(SLICE(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_digest(SLICE("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_digest(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    assert_digest(SLICE("0123456701234567012345670123456701234567012345670123456701234567"),
                  "e0c094e867ef46c350ef54a7f59dd60bed92ae83");
    assert_digest(SLICE("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
                  "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
}

static void a_million_letters_have_their_digest(void **state)
{
    struct buf text = {0};
    (void)state;
    memset(buf_reserve(&text, 1000000), 'a', 1000000);
    text.len = 1000000;
    assert_digest(buf_slice(&text), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    buf_deinit(&text);
}

/* Around the ends of a block, where the length must go into one more. */
static void the_padding_fits_every_length(void **state)
{
    static const struct {
        size_t len;
        const char *digest;
    } cases[] = {
        {54, "b05d71c64979cb95fa74a33cdb31a40d258ae02e"},
        {55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
        {64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
        {119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"},
        {120, "f34c1488385346a55709ba056ddd08280dd4c6d6"},
    };

    char text[128];
    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_digest((struct slice){text, cases[i].len}, cases[i].digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_their_digests),
        cmocka_unit_test(a_million_letters_have_their_digest),
        cmocka_unit_test(the_padding_fits_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
