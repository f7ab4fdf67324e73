#include "base/utf8.h"

#include "base/block.h"
#include "base/word.h"

static const char *skip_ascii(const char *p, const char *end)
{
#if BLOCK_SIZE
    for (; end - p >= BLOCK_SIZE; p += BLOCK_SIZE) {
        unsigned marks = block_high(p);
        if (marks)
            return p + __builtin_ctz(marks);
    }
#endif
    for (; end - p >= WORD_SIZE; p += WORD_SIZE) {
        uint64_t marks = word_high(word_load(p));
        if (marks)
            return p + word_first(marks);
    }
    while (p < end && (unsigned char)*p < 0x80)
        p++;
    return p;
}

bool utf8_valid(struct slice text)
{
    const char *p = text.ptr, *end = text_end(text);
    bool valid = true;
    while (valid && (p = skip_ascii(p, end)) < end)
        p += utf8_step(p, end, &valid);
    return valid;
}

size_t utf8_step(const char *p, const char *end, bool *valid)
{
    unsigned char lead = (unsigned char)*p;
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    size_t len;
    *valid = true;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF) {
        len = 2;
    } else if ((lead & 0xF0) == 0xE0) {
        len = 3;
        low = lead == 0xE0 ? 0xA0 : low;   /* overlong */
        high = lead == 0xED ? 0x9F : high; /* surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        len = 4;
        low = lead == 0xF0 ? 0x90 : low;   /* overlong */
        high = lead == 0xF4 ? 0x8F : high; /* beyond U+10FFFF */
    } else {
        *valid = false;
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        unsigned char c = p + i < end ? (unsigned char)p[i] : 0;
        if (c < low || c > high) {
            *valid = false;
            return i;
        }
        low = 0x80;
        high = 0xBF;
    }
    return len;
}

void utf8_add(struct buf *out, uint32_t point)
{
    char *to = buf_reserve(out, 4);
    if (point < 0x80) {
        to[0] = (char)point;
        out->len += 1;
    } else if (point < 0x800) {
        to[0] = (char)(0xC0 | point >> 6);
        to[1] = (char)(0x80 | (point & 0x3F));
        out->len += 2;
    } else if (point < 0x10000) {
        to[0] = (char)(0xE0 | point >> 12);
        to[1] = (char)(0x80 | (point >> 6 & 0x3F));
        to[2] = (char)(0x80 | (point & 0x3F));
        out->len += 3;
    } else {
        to[0] = (char)(0xF0 | point >> 18);
        to[1] = (char)(0x80 | (point >> 12 & 0x3F));
        to[2] = (char)(0x80 | (point >> 6 & 0x3F));
        to[3] = (char)(0x80 | (point & 0x3F));
        out->len += 4;
    }
}

void utf8_add_mended(struct buf *out, struct slice text)
{
    if (utf8_valid(text)) {
        buf_add(out, text);
        return;
    }
    const char *p = text.ptr, *end = text_end(text);
    while (p < end) {
        bool valid;
        size_t len = utf8_step(p, end, &valid);
        if (valid)
            buf_append(out, p, len);
        else
            utf8_add(out, UTF8_REPLACEMENT);
        p += len;
    }
}
