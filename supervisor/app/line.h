/*
 * line: an HTTP request as a line for a worker.
 */
#pragma once

#include "app/routes.h"
#include "http/server.h"

/* What the line says of the body. */
struct line_body {
    struct slice bytes; /* all of it, in the line; empty = none */
    bool more;          /* it follows in pieces */
    bool upgrade;       /* the client wants to change the protocol, which the worker may do */
    bool length_known;  /* `length` is told also when the client did not: a Content-Length */
    uint64_t length;
};

/*
 * All of the line but id and time left, which do not change when it is sent again; in the
 * arena.  scratch is overwritten.  Empty when it is longer than the worker accepts.
 */
struct slice line_write(const struct http_request *, const struct router_match *,
                        const struct line_body *, struct buf *scratch, struct arena *);

/* For whoever got nothing. */
extern const struct call_failure line_too_long;
