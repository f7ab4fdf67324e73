/*
 * chunked: takes the chunked transfer coding off a body, strictly.  Pure.
 *
 * llhttp 8.1 lets a bare LF end the last line and refuses legal chunk extensions,
 * and its callbacks do not say where in the input they stand, so that neither can be
 * mended from outside; this decoder can be fuzzed against it instead.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum chunked_verdict {
    CHUNKED_MORE,
    CHUNKED_DONE,
    CHUNKED_BAD,       /* malformed: 400 */
    CHUNKED_TOO_LARGE, /* the body is larger than the limit: 413 */
    CHUNKED_TRAILER,   /* the trailer section is larger than the limit: 431 */
};

/* Zeroed = before the first byte; the trailer fields are checked and dropped. */
struct chunked {
    struct buf *kept;     /* where the trailer section is appended, or NULL */
    uint32_t trailer_max; /* bytes of it; 0 = 8 KiB */
    uint32_t trailer;     /* bytes of it that have come */
    uint64_t total;       /* bytes of data that have come */
    uint64_t left;     /* bytes of the present chunk still to come; digits while reading them */
    uint32_t overhead; /* bytes that are not data, beyond what honest chunks need */
    uint8_t state;
    uint8_t digits;
};

/*
 * Reads on: data is appended to `body`, at most `limit` bytes in all; `*used` is how much
 * of `bytes` belonged to it.  What is kept of the trailer section are lines of the form
 * name ":" value CRLF, of allowed characters only.
 * After any verdict but CHUNKED_MORE it must not be called again.
 */
enum chunked_verdict chunked_read(struct chunked *, struct slice bytes, size_t limit,
                                  struct buf *body, size_t *used);

/*
 * The fields of a trailer section that was kept: names in lower case, values trimmed, without
 * those that mean something before the body or not at all (response_trailer_allowed()).
 * In the arena, as a whole.
 */
const struct field *chunked_trailers(struct slice kept, struct arena *, size_t *count);
