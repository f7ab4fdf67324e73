/*
 * reply: what a worker answered, as an HTTP answer.
 */
#pragma once

#include "base/arena.h"
#include "http/response.h"
#include "protocol/c/frame.h"

/*
 * Reads all of a response but its body, whose kind only gives the content type; or the status
 * and headers of an interim answer, or the trailers of an end.  The answer borrows from the
 * frame and the arena.
 */
bool reply_read_head(const struct frame *, struct arena *, struct http_answer *,
                     struct err *why);

/* One field more. */
void reply_add_field(struct http_answer *, struct arena *, const struct field *);

/*
 * Reads a response frame.  The answer borrows from the frame, from the arena and from
 * `body`, which must be empty.  It is yet to be checked (response_check).  False with a
 * sentence when its headers are no headers.
 */
bool reply_read(const struct frame *, struct arena *, struct buf *body, struct http_answer *,
                struct err *why);
