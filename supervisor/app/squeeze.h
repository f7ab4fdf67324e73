/*
 * squeeze: a long answer that is whole, compressed over several turns of the loop.
 *
 * One turn compresses ENCODER_TURN bytes, so that others wait 3 ms and not 100; what is ready
 * is sent meanwhile, and no more is made ready while the client does not take it.
 */
#pragma once

#include "http/negotiate.h"
#include "http/server.h"
#include "loop/loop.h"

/*
 * Answers as exchange_begin() does; the head says already what the coding is, and the body,
 * which is copied, is not compressed yet.  The exchange's data is this one's until its end.
 */
bool squeeze_respond(struct loop *, struct exchange *, enum coding, const struct http_answer *,
                     struct err *why) MUST_CHECK;
