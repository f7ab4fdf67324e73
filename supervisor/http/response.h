/*
 * response: the bytes of an HTTP/1.1 answer.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct http_answer {
    unsigned status;             /* 200..999 */
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

/* How the client finds the end of a body that follows its head in pieces. */
enum response_end {
    RESPONSE_NO_BODY,  /* to HEAD, or by the status; a Content-Length among the fields stands */
    RESPONSE_LENGTH,   /* Content-Length */
    RESPONSE_CHUNKED,  /* Transfer-Encoding: chunked */
    RESPONSE_TO_CLOSE, /* where the connection ends */
    RESPONSE_UPGRADE,  /* 101: what follows is no HTTP */
};

/* "Not Found" for 404; "Unknown" for a number without a name. */
struct slice http_reason(unsigned status);

/*
 * May this be sent?  False with a sentence when a field name is no token, a value or
 * the reason holds CR, LF or NUL, or the status is not 200..999.
 */
bool response_check(const struct http_answer *, struct err *why);

/* The same but for the status. */
bool response_check_fields(const struct http_answer *, struct err *why);

/*
 * Writes an answer that was checked; returns the bytes of body that went out.  The
 * length is always nodey's own count, with one exception: where no body may follow (to
 * HEAD, or a 304) and the answer has none, the Content-Length among `headers` stands.
 */
size_t response_write(struct buf *, const struct http_answer *, const struct http_framing *);

/* May a body follow this status, to a request of this kind? */
bool response_may_have_body(unsigned status, bool to_head);

/*
 * The Content-Length that the answer's fields announce.  False with a sentence when there
 * are several that differ, or one that is no number; *given is false when there is none.
 */
bool response_length(const struct http_answer *, bool *given, uint64_t *length,
                     struct err *why) MUST_CHECK;

/* Writes the head alone, of an answer that was checked; `body` is not looked at. */
struct http_extent {
    enum response_end end;
    uint64_t length;      /* RESPONSE_LENGTH */
    struct slice upgrade; /* RESPONSE_UPGRADE: to what, unless the answer has the field */
};

void response_write_head(struct buf *, const struct http_answer *, const struct http_framing *,
                         const struct http_extent *);

/* Writes an interim answer.  Its fields were checked, see response_check(). */
void response_interim(struct buf *, unsigned status, const struct field *, size_t count);

/*
 * Writes what ends a chunked body.  Fields that may not stand in a trailer (RFC 9110, 6.5.1),
 * or are malformed, are left out.
 */
void response_write_last_chunk(struct buf *, const struct field *trailers, size_t count);

/* May a field of this name stand behind a body, where it may be too late for it? */
bool response_trailer_allowed(struct slice name);

/*
 * The body of an application/problem+json answer (RFC 9457); empty slices are left out.
 * members: more of the object, raw JSON that begins with a comma.
 */
void response_problem(struct buf *, unsigned status, struct slice detail, struct slice instance,
                      struct slice id, struct slice members);
