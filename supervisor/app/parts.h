/*
 * parts: several ranges of a file as one answer, multipart/byteranges (RFC 9110, 14.6).
 */
#pragma once

#include "http/ranges.h"
#include "http/server.h"

/*
 * Answers 206 with these fields and content type.  `fd` is a file of `size` bytes and owned
 * from now on.  Ends the exchange, now or later; its data is this one's until then.
 */
void parts_send(struct exchange *, const struct http_answer *, int fd, uint64_t size,
                const struct byte_ranges *);
