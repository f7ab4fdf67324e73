/*
 * request: what the handler is told of a head.  Pure.
 *
 * Here the target is taken apart, the Host judged, and every field that was meant for
 * nodey or that only a trusted proxy may send is taken out:
 *
 *   hop-by-hop fields and those that Connection names        always
 *   Expect                                                   always: it has been met
 *   X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id        unless the peer is trusted
 *   names with "_", which many programs take for "-"         always
 *
 * A chunked body's handler finds a Content-Length in the place of Transfer-Encoding, when
 * it is given the whole body; else neither.
 */
#pragma once

#include "http/forwarded.h"
#include "http/parse.h"
#include "http/server.h"

/* The other end of the connection. */
struct peer {
    struct slice ip; /* plain text, empty for a unix socket */
    bool trusted;    /* a trusted proxy: its fields are believed */
};

/*
 * Fills in all but `body` and `more`.  `id` is used unless a trusted proxy gave the request
 * one. The request borrows from the head, the peer and the id.  False: refused.
 */
bool request_read(struct http_request *, struct head *, const struct peer *,
                  const struct trust *, struct slice id, struct arena *, struct refusal *);

/* Once a chunked body is whole: its Content-Length. */
void request_set_length(struct http_request *, struct arena *);

/* A chunked body comes in pieces: without a Content-Length. */
void request_drop_length(struct http_request *);
