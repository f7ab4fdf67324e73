/*
 * proxy_head: what a service or an address is asked, and what of its answer is passed on. Pure.
 *
 * Beside the client's own fields it gets X-Forwarded-For, -Proto, -Host, -Port and -Prefix,
 * X-Real-IP, Forwarded and X-Request-Id, all by nodey's word: what the client said of these is
 * believed only if it is a trusted proxy (see http/forwarded.h).  X-Forwarded-For is one
 * address, that of the client.
 */
#pragma once

#include "config/proxied.h"
#include "http/answer.h"
#include "http/server.h"

/* What is to be asked for. */
struct proxy_ask {
    const struct http_request *request;
    const struct route_config *route;
    struct slice authority; /* of the target: what `host = "upstream"` says */
    struct slice base;      /* of the target: goes in front of the path */
};

/*
 * Appends the request's head, for a body as the request has it: none, whole, with a length, or
 * else chunked (proxy_is_chunked).
 */
void proxy_write_head(struct buf *, const struct proxy_ask *);

/* Is the body sent in the chunked coding? */
bool proxy_is_chunked(const struct http_request *);

/* The path that the target sees, without base and query.  Borrows, or lies in the arena. */
struct slice proxy_path(const struct route_config *, struct slice path, struct arena *);

/*
 * The head of an answer as it is passed on: without what is between neighbours only, with
 * `extra` behind it if there is one.  Borrows from the head and the arena.
 */
void proxy_read_answer(const struct answer_head *, const struct field *extra, struct arena *,
                       struct http_answer *);

/* Is it an event stream, which may be silent for any time? */
bool proxy_is_event_stream(const struct answer_head *);

/* The value of a cookie of the request; empty: there is none. */
struct slice proxy_cookie(const struct http_request *, struct slice name);

/* The value of the first such field (lower case); empty: there is none. */
struct slice proxy_field(const struct http_request *, struct slice name);

/* May a request of this method be sent twice (RFC 9110, 9.2.2)? */
bool proxy_is_idempotent(struct slice method);
