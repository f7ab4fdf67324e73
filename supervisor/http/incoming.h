/*
 * incoming: the body of a request, collected or handed on in pieces, or skipped.
 */
#pragma once

#include "http/conn.h"

/*
 * The head is read; `behind`: the bytes that follow it.  Hands the request over, refuses it,
 * or waits for the rest.  Returns how many of the bytes belong to the body.
 */
size_t incoming_begin(struct conn *, const struct head *, struct slice behind);

/* BODY and BUSY: takes what belongs to the body, and tells the handler. */
size_t incoming_take(struct conn *, struct slice);

/* The client will send no more; the stream holds nothing any more. */
void incoming_cut(struct conn *);

/* Nothing has come for too long, or so the timer says. */
void incoming_deadline(struct conn *);

/*
 * May the next request follow, though the body of this one is not all in?  *rest is what must
 * be thrown away before.
 */
bool incoming_skippable(const struct exchange *, uint64_t *rest);

/* REST: throws away. */
size_t incoming_skip(struct conn *, struct slice);

/* The connection is a stream of bytes from now on. */
void incoming_open_tunnel(struct conn *);
