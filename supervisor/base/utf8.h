/*
 * utf8: text as UTF-8, checked and written.
 *
 * Strict by RFC 3629: nothing overlong, no surrogates, nothing beyond U+10FFFF.
 */
#pragma once

#include "base/buf.h"

enum { UTF8_REPLACEMENT = 0xFFFD };

/* True when all bytes are UTF-8. */
bool utf8_valid(struct slice);

/*
 * The length of the character at p (p < end).  For bytes that are none, *valid is false
 * and the length is that of the part that one U+FFFD replaces: what browsers, Node and
 * Python replace as one too.
 */
size_t utf8_step(const char *p, const char *end, bool *valid);

/* Appends one character; the code point is not a surrogate. */
void utf8_add(struct buf *, uint32_t point);

/* Appends text, each part that is not UTF-8 replaced by U+FFFD. */
void utf8_add_mended(struct buf *, struct slice text);
