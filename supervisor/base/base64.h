/*
 * base64: bytes as text, by RFC 4648 section 4.
 *
 * Strict: the standard alphabet, padding where it belongs, no white space, and no bits
 * left over behind the last byte, so that every byte string has exactly one spelling.
 */
#pragma once

#include "base/buf.h"

void base64_encode(struct buf *, struct slice bytes);

bool base64_valid(struct slice text);

/* The number of bytes that a valid text stands for. */
size_t base64_decoded_size(struct slice text);

/* Appends the bytes.  False, and nothing appended, when the text is not valid. */
bool base64_decode(struct buf *, struct slice text);
