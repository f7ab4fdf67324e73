/*
 * compress: what workers answer, in a coding that the client accepts.
 *
 * Compressed is an answer of a listed type and at least `compress_min` bytes that has no
 * Content-Encoding and no Cache-Control: no-transform, and whose status is none of 204, 205,
 * 206 and 304.  It gets Content-Encoding and "Vary: Accept-Encoding", its Content-Length goes
 * and a strong ETag becomes a weak one.  An answer that could have been compressed for
 * somebody else gets the Vary as well.
 *
 * text/event-stream stays as it is unless compress_types names it: its events are short, and
 * a coder would hold memory for each client that listens.
 */
#pragma once

#include "app/gateway.h"
#include "http/negotiate.h"

/*
 * As exchange_respond(), compressed where that may be.  What is long is compressed over several
 * turns of the loop; then the exchange's data is its own from now on.  The answer is borrowed
 * until this returns, and changed.
 */
bool compress_respond(struct gateway *, struct exchange *, struct http_answer *,
                      struct err *why) MUST_CHECK;

/* ------------------------------------------------------------ answers in pieces */

struct coder;

/*
 * Before exchange_begin(): changes the head's fields (in the exchange's arena), and returns
 * what its pieces must go through, the head's own body among them; NULL when they stay as
 * they are.
 */
struct coder *coder_new(struct gateway *, struct exchange *, struct http_answer *head);

/* Takes NULL. */
void coder_free(struct coder *);

/*
 * Appends the piece, compressed and flushed, so that the client has all of it at once.  `last`:
 * nothing follows; must come exactly once, with an empty piece if there is none.
 */
void coder_write(struct coder *, struct slice piece, bool last, struct buf *out);

/* ------------------------------------------------------------ for kept answers */

/* What an answer to this request would be compressed with, if it may be. */
enum coding compress_coding(const struct gateway *, const struct http_request *);

/*
 * Compresses a whole answer at once, if it may be and is not too long for that; fields are
 * made in the arena, the new body in `out`.
 */
void compress_kept(const struct gateway *, enum coding, struct arena *, struct buf *out,
                   struct http_answer *);
