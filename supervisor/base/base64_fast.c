#include "base/base64_fast.h"

/*
 * AVX2: 24 bytes against 32 digits a step, by the arithmetic of W. Mula and D. Lemire,
 * "Faster Base64 Encoding and Decoding using AVX2 Instructions", ACM Transactions on the
 * Web 12 (2018).  No table of 64 entries fits a shuffle, but both ways the digits fall into
 * ranges, and the range says what to add.
 */
#if defined(__x86_64__)
#    include <immintrin.h>

#    define AVX2 __attribute__((target("avx2")))

enum { STEP_BYTES = 24, STEP_DIGITS = 32 };

static AVX2 __m256i twice(__m128i half)
{
    return _mm256_broadcastsi128_si256(half);
}

/* Spreads 2 x 12 bytes over 2 x 16, six bits in each. */
static AVX2 __m256i to_values(__m256i bytes)
{
    const __m128i order = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    __m256i words = _mm256_shuffle_epi8(bytes, twice(order));
    __m256i odd = _mm256_and_si256(words, _mm256_set1_epi32(0x0fc0fc00));
    __m256i even = _mm256_and_si256(words, _mm256_set1_epi32(0x003f03f0));
    return _mm256_or_si256(_mm256_mulhi_epu16(odd, _mm256_set1_epi32(0x04000040)),
                           _mm256_mullo_epi16(even, _mm256_set1_epi32(0x01000010)));
}

/* Which range: 13 for A-Z, 0 for a-z, 1 to 10 for 0-9, 11 for +, 12 for /. */
static AVX2 __m256i to_digits(__m256i values)
{
    const __m128i shift =
        _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m256i range = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
    __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);
    range = _mm256_or_si256(range, _mm256_and_si256(upper, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(twice(shift), range));
}

static AVX2 size_t encode(char *out, const unsigned char *in, size_t len)
{
    size_t done = 0;
    for (; len - done >= STEP_BYTES + 4; done += STEP_BYTES, out += STEP_DIGITS) {
        __m128i low = _mm_loadu_si128((const __m128i *)(in + done));
        __m128i high = _mm_loadu_si128((const __m128i *)(in + done + STEP_BYTES / 2));
        __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        _mm256_storeu_si256((__m256i *)out, to_digits(to_values(bytes)));
    }
    return done;
}

static AVX2 __m256i high_nibbles(__m256i text)
{
    return _mm256_and_si256(_mm256_srli_epi32(text, 4), _mm256_set1_epi8(0x0f));
}

/* Not zero where a character is no digit: its nibbles share a bit of these tables. */
static AVX2 __m256i strangers(__m256i text)
{
    const __m128i by_low = _mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                         0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m128i by_high = _mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10,
                                          0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
    __m256i low = _mm256_and_si256(text, _mm256_set1_epi8(0x0f));
    return _mm256_and_si256(_mm256_shuffle_epi8(twice(by_low), low),
                            _mm256_shuffle_epi8(twice(by_high), high_nibbles(text)));
}

static AVX2 bool all_digits(__m256i text)
{
    __m256i wrong = strangers(text);
    return _mm256_testz_si256(wrong, wrong);
}

/* The high nibble says what to add, but + and / share theirs. */
static AVX2 __m256i from_digits(__m256i text)
{
    const __m128i shift =
        _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
    __m256i range = _mm256_add_epi8(slash, high_nibbles(text));
    return _mm256_add_epi8(text, _mm256_shuffle_epi8(twice(shift), range));
}

/* 32 values of six bits to 24 bytes, followed by eight that mean nothing. */
static AVX2 __m256i from_values(__m256i values)
{
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(groups, twice(order)),
                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}

static AVX2 size_t decode(unsigned char *out, const char *in, size_t len)
{
    size_t done = 0;
    /* A step writes 32 bytes for its 24: what follows must have room for eight more. */
    for (; len - done >= STEP_DIGITS + 12; done += STEP_DIGITS, out += STEP_BYTES) {
        __m256i text = _mm256_loadu_si256((const __m256i *)(in + done));
        if (!all_digits(text))
            break;
        _mm256_storeu_si256((__m256i *)out, from_values(from_digits(text)));
    }
    return done;
}

static AVX2 size_t valid(const char *in, size_t len)
{
    size_t done = 0;
    for (; len - done >= STEP_DIGITS; done += STEP_DIGITS) {
        if (!all_digits(_mm256_loadu_si256((const __m256i *)(in + done))))
            break;
    }
    return done;
}

size_t base64_encode_fast(char *out, const unsigned char *in, size_t len)
{
    return __builtin_cpu_supports("avx2") ? encode(out, in, len) : 0;
}

size_t base64_decode_fast(unsigned char *out, const char *in, size_t len)
{
    return __builtin_cpu_supports("avx2") ? decode(out, in, len) : 0;
}

size_t base64_valid_fast(const char *in, size_t len)
{
    return __builtin_cpu_supports("avx2") ? valid(in, len) : 0;
}

#else

size_t base64_encode_fast(char *out, const unsigned char *in, size_t len)
{
    (void)out, (void)in, (void)len;
    return 0;
}

size_t base64_decode_fast(unsigned char *out, const char *in, size_t len)
{
    (void)out, (void)in, (void)len;
    return 0;
}

size_t base64_valid_fast(const char *in, size_t len)
{
    (void)in, (void)len;
    return 0;
}

#endif
