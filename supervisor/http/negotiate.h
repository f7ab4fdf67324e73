/*
 * negotiate: which content coding a client wants (RFC 9110, 12.5.3).  Pure.
 */
#pragma once

#include "base/slice.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, CODING_COUNT };

/* "gzip", as Content-Encoding and Accept-Encoding call it; "identity". */
struct slice coding_name(enum coding);

/* By its name, in any case; "x-gzip" is gzip.  False when it is none of these. */
bool coding_read(struct slice name, enum coding *);

/*
 * Of the codings on offer the one that the request's Accept-Encoding gives the highest
 * weight; among equals the one that stands first.  CODING_IDENTITY when none of them is
 * accepted, when the client says nothing, or when it weighs identity higher: also where
 * identity is excluded, since an answer that is plain is better than none.
 */
enum coding negotiate_coding(const struct field *headers, size_t header_count,
                             const enum coding *offer, size_t offer_count);
