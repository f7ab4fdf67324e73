/*
 * reply: what a worker answered, as an HTTP answer.
 */
#pragma once

#include "base/arena.h"
#include "http/response.h"
#include "protocol/c/frame.h"

/*
 * Reads a response frame.  The answer borrows from the frame, from the arena and from
 * `body`, which must be empty.  It is yet to be checked (response_check).  False with a
 * sentence when its headers are no headers.
 */
bool reply_read(const struct frame *, struct arena *, struct buf *body, struct http_answer *,
                struct err *why);
