#include "base/utf8_check.h"

#include "base/word.h"

static const char *skip_ascii(const char *p, const char *end)
{
    for (; end - p >= 2 * WORD_SIZE; p += 2 * WORD_SIZE)
        if (word_high(word_load(p) | word_load(p + WORD_SIZE)))
            break;
    while (p < end && (unsigned char)*p < 0x80)
        p++;
    return p;
}

/* The first byte of a character of several. */
static bool begin(struct utf8_check *c, unsigned char lead)
{
    c->low = 0x80;
    c->high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        c->left = 1;
    } else if ((lead & 0xF0) == 0xE0) {
        c->left = 2;
        c->low = lead == 0xE0 ? 0xA0 : 0x80;  /* overlong */
        c->high = lead == 0xED ? 0x9F : 0xBF; /* surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        c->left = 3;
        c->low = lead == 0xF0 ? 0x90 : 0x80;  /* overlong */
        c->high = lead == 0xF4 ? 0x8F : 0xBF; /* beyond U+10FFFF */
    } else {
        return false;
    }
    return true;
}

bool utf8_check_add(struct utf8_check *c, struct slice piece)
{
    const char *p = piece.ptr, *end = text_end(piece);
    while (p < end) {
        unsigned char byte = (unsigned char)*p;
        if (c->left) {
            if (byte < c->low || byte > c->high)
                return false;
            c->left--;
            c->low = 0x80;
            c->high = 0xBF;
        } else if (byte < 0x80) {
            p = skip_ascii(p, end);
            continue;
        } else if (!begin(c, byte)) {
            return false;
        }
        p++;
    }
    return true;
}
