/*
 * chunked: takes the chunked transfer coding off a body, strictly.  Pure.
 *
 * llhttp 8.1 lets a bare LF end the last line and refuses legal chunk extensions,
 * and its callbacks do not say where in the input they stand, so that neither can be
 * mended from outside; this decoder can be fuzzed against it instead.
 */
#pragma once

#include "base/buf.h"

enum chunked_verdict {
    CHUNKED_MORE,
    CHUNKED_DONE,
    CHUNKED_BAD,       /* malformed: 400 */
    CHUNKED_TOO_LARGE, /* the body is larger than the limit: 413 */
    CHUNKED_TRAILER,   /* the trailer section is larger than the limit: 431 */
};

/* Zeroed = before the first byte. */
struct chunked {
    uint64_t left;     /* bytes of the present chunk still to come; digits while reading them */
    uint32_t overhead; /* bytes that are not data, beyond what honest chunks need */
    uint16_t trailer;  /* bytes of the trailer section */
    uint8_t state;
    uint8_t digits;
};

/*
 * Reads on: data is appended to `body`, which grows to at most `limit` bytes; `*used`
 * is how much of `bytes` belonged to it.  Trailer fields are checked and dropped.
 * After any verdict but CHUNKED_MORE it must not be called again.
 */
enum chunked_verdict chunked_read(struct chunked *, struct slice bytes, size_t limit,
                                  struct buf *body, size_t *used);
