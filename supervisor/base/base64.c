#include "base/base64.h"

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

void base64_encode(struct buf *b, struct slice bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t size = (bytes.len + 2) / 3 * 4;
    if (size == 0)
        return;
    char *out = buf_reserve(b, size);
    for (size_t left = bytes.len; left > 0; in += 3, out += 4) {
        uint32_t group = (uint32_t)in[0] << 16;
        if (left > 1)
            group |= (uint32_t)in[1] << 8;
        if (left > 2)
            group |= in[2];
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
        out[3] = left > 2 ? alphabet[group & 63] : '=';
        left -= MIN(left, (size_t)3);
    }
    b->len += size;
}

static unsigned digit(char c)
{
    return digit_values[(unsigned char)c];
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
    for (size_t i = 0; i < digits; i++) {
        if (!digit(text.ptr[i]))
            return false;
    }
    /* With padding, the last digit has 2 or 4 bits that belong to no byte. */
    unsigned unused = pad == 1 ? 3 : pad == 2 ? 15 : 0;
    return !unused || ((digit(text.ptr[digits - 1]) - 1) & unused) == 0;
}

size_t base64_decoded_size(struct slice text)
{
    return text.len / 4 * 3 - padding(text);
}

/* Reads four digits, of which the last ones may be padding and then count as 0. */
static uint32_t read_group(const char *in)
{
    uint32_t group = 0;
    for (int i = 0; i < 4; i++)
        group = group << 6 | (in[i] == '=' ? 0 : digit(in[i]) - 1);
    return group;
}

bool base64_decode(struct buf *b, struct slice text)
{
    if (!base64_valid(text))
        return false;
    size_t size = base64_decoded_size(text);
    if (size == 0)
        return true;
    unsigned char *out = (unsigned char *)buf_reserve(b, size);
    const char *in = text.ptr;
    for (size_t left = size; left > 0; in += 4, out += 3) {
        uint32_t group = read_group(in);
        out[0] = (unsigned char)(group >> 16);
        if (left > 1)
            out[1] = (unsigned char)(group >> 8);
        if (left > 2)
            out[2] = (unsigned char)group;
        left -= MIN(left, (size_t)3);
    }
    b->len += size;
    return true;
}
