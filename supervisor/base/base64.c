#include "base/base64.h"

#include "base/base64_fast.h"

static const char alphabet[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit plus one; 0 for what is no digit. */
static const unsigned char digit_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
    ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
    ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
    ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
    ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
    ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
    ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
    ['/'] = 64,
};

/* Three bytes, or at the end fewer, become four digits. */
static void encode_group(char *out, const unsigned char *in, size_t count)
{
    uint32_t group = (uint32_t)in[0] << 16;
    if (count > 1)
        group |= (uint32_t)in[1] << 8;
    if (count > 2)
        group |= in[2];
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 63];
    out[2] = count > 1 ? alphabet[group >> 6 & 63] : '=';
    out[3] = count > 2 ? alphabet[group & 63] : '=';
}

void base64_encode(struct buf *b, struct slice bytes)
{
    size_t size = (bytes.len + 2) / 3 * 4;
    if (size == 0)
        return;
    char *out = buf_reserve(b, size);
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t done = base64_encode_fast(out, in, bytes.len);
    out += done / 3 * 4;
    for (; bytes.len - done >= 3; done += 3, out += 4)
        encode_group(out, in + done, 3);
    if (done < bytes.len)
        encode_group(out, in + done, bytes.len - done);
    b->len += size;
}

/* A digit's value; for what is no digit, bits that no value has. */
static uint32_t digit(char c)
{
    return (uint32_t)digit_values[(unsigned char)c] - 1;
}

static size_t padding(struct slice text)
{
    if (text.len == 0 || text.ptr[text.len - 1] != '=')
        return 0;
    return text.ptr[text.len - 2] == '=' ? 2 : 1;
}

bool base64_valid(struct slice text)
{
    if (text.len % 4)
        return false;
    size_t pad = padding(text);
    size_t digits = text.len - pad;
    uint32_t bits = 0;
    for (size_t i = base64_valid_fast(text.ptr, digits); i < digits; i++)
        bits |= digit(text.ptr[i]);
    if (bits > 63)
        return false;
    /* With padding, the last digit has 2 or 4 bits that belong to no byte. */
    unsigned unused = pad == 1 ? 3 : pad == 2 ? 15 : 0;
    return !unused || (digit(text.ptr[digits - 1]) & unused) == 0;
}

size_t base64_decoded_size(struct slice text)
{
    return text.len / 4 * 3 - padding(text);
}

/* Four digits become three bytes; false when one of them is no digit. */
static bool decode_group(unsigned char *out, const char *in)
{
    uint32_t a = digit(in[0]), b = digit(in[1]), c = digit(in[2]), d = digit(in[3]);
    uint32_t group = a << 18 | b << 12 | c << 6 | d;
    out[0] = (unsigned char)(group >> 16);
    out[1] = (unsigned char)(group >> 8);
    out[2] = (unsigned char)group;
    return (a | b | c | d) <= 63;
}

/* The last four characters, when they end in padding. */
static bool decode_padded(unsigned char *out, const char *in, size_t pad)
{
    unsigned char bytes[3];
    char full[4] = {in[0], in[1], pad == 2 ? 'A' : in[2], 'A'};
    if (!decode_group(bytes, full) || bytes[3 - pad])
        return false; /* or with bits that belong to no byte */
    memcpy(out, bytes, 3 - pad);
    return true;
}

bool base64_decode(struct buf *b, struct slice text)
{
    if (text.len % 4)
        return false;
    if (text.len == 0)
        return true;
    size_t size = base64_decoded_size(text), pad = padding(text);
    size_t whole = pad ? text.len - 4 : text.len;
    unsigned char *out = (unsigned char *)buf_reserve(b, size);
    size_t done = base64_decode_fast(out, text.ptr, whole);
    out += done / 4 * 3;
    for (; done < whole; done += 4, out += 3) {
        if (!decode_group(out, text.ptr + done))
            return false;
    }
    if (pad && !decode_padded(out, text.ptr + done, pad))
        return false;
    b->len += size;
    return true;
}
