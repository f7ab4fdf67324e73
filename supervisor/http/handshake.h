/*
 * handshake: a WebSocket's opening (RFC 6455, section 4.2; RFC 7692).
 */
#pragma once

#include "http/deflate.h"
#include "http/server.h"

/*
 * May this request, whose `upgrade` is "websocket", be accepted?  False with what to answer
 * when it is no good handshake; see handshake_refuse().
 */
bool handshake_check(const struct http_request *, struct refusal *);

/* Answers such a request: a client of another version is told ours.  Ends the exchange. */
void handshake_refuse(struct exchange *, const struct refusal *);

/* Did the client offer this subprotocol? */
bool handshake_offers(const struct http_request *, struct slice protocol);

/* How messages are compressed. */
struct compression {
    bool agreed;
    bool names_bits; /* the client said how large our window may be */
    unsigned bits;   /* logarithm of it */
};

/* The first offer that can be accepted, or none. */
void handshake_compression(const struct http_request *, struct compression *);

/*
 * The head of our 101, for a request that was checked: Upgrade, Sec-WebSocket-Accept and,
 * where agreed, Sec-WebSocket-Extensions; then those of `more` that are not ours to say.
 * All is in the arena.
 */
void handshake_answer(const struct http_request *, const struct compression *,
                      const struct field *more, size_t count, struct arena *,
                      struct http_answer *);
