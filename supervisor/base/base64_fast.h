/*
 * base64_fast: the middle of a long text by the machine's wide instructions.
 *
 * Each function does as much as it can from the front and returns how much of the input
 * that was, whole groups only; base64.c does the rest.  Where the machine has none of
 * these instructions, that is nothing.
 */
#pragma once

#include "base/base.h"

/* `out` has room for all digits of `in`. */
size_t base64_encode_fast(char *out, const unsigned char *in, size_t len);

/* `out` has room for all bytes of `in`, which holds no padding.  Stops before a wrong digit. */
size_t base64_decode_fast(unsigned char *out, const char *in, size_t len);

/* How many characters at the front are digits; it may be more. */
size_t base64_valid_fast(const char *in, size_t len);
