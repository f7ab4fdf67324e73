/*
 * response: the bytes of an HTTP/1.1 answer.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct http_answer {
    unsigned status;             /* 200..599 */
    struct slice reason;         /* empty = the standard phrase */
    const struct field *headers; /* hop-by-hop ones, Content-Length and Date are ignored */
    size_t header_count;
    struct slice content_type; /* used when `headers` has none; empty = none */
    struct slice body;
};

/* What only the connection knows. */
struct http_framing {
    bool to_head;      /* answers HEAD: the body's length, but not the body */
    bool close;        /* Connection: close */
    bool keep_alive;   /* Connection: keep-alive, which HTTP/1.0 must be told */
    struct slice date; /* "Thu, 01 Jan 1970 00:00:00 GMT" */
    struct slice id;   /* X-Request-Id */
};

/* "Not Found" for 404; "Unknown" for a number without a name. */
struct slice http_reason(unsigned status);

/*
 * May this be sent?  False with a sentence when a field name is no token, a value or
 * the reason holds CR, LF or NUL, or the status is not 200..599.
 */
bool response_check(const struct http_answer *, struct err *why);

/*
 * Writes an answer that was checked; returns the bytes of body that went out.  The
 * length is always nodey's own count, with one exception: where no body may follow (to
 * HEAD, or a 304) and the answer has none, the Content-Length among `headers` stands.
 */
size_t response_write(struct buf *, const struct http_answer *, const struct http_framing *);

/*
 * The body of an application/problem+json answer (RFC 9457); empty slices are left out.
 * members: more of the object, raw JSON that begins with a comma.
 */
void response_problem(struct buf *, unsigned status, struct slice detail, struct slice instance,
                      struct slice id, struct slice members);
