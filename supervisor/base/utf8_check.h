/*
 * utf8_check: is text that comes in pieces UTF-8?
 *
 * Says no at the first byte that no text can have there, also when the character before it
 * began in an earlier piece.  Strict as utf8.h.  In zeroes it is at a text's begin.
 */
#pragma once

#include "base/slice.h"

struct utf8_check {
    unsigned char left; /* bytes that the character lacks yet */
    unsigned char low;  /* what its next byte may be */
    unsigned char high;
};

/* False: this is no UTF-8; the check is of no more use. */
bool utf8_check_add(struct utf8_check *, struct slice piece);

/* The text may end here: no character is open. */
static inline bool utf8_check_whole(const struct utf8_check *c)
{
    return c->left == 0;
}
