/*
 * farewell: how a connection ends in good order: with a refusal, and with patience for what the
 * client is still saying.
 */
#pragma once

#include "http/conn.h"

/*
 * All is said: shuts the write side and lingers.  patient: a body that nobody wants is still
 * arriving (RFC 9112, 9.6), so the client may need long until it looks at the answer.
 */
void farewell_begin(struct conn *, bool patient);

/* Answers a request that the handler never sees, and ends the connection. */
void farewell_refuse(struct conn *, const struct refusal *, bool to_head);

/* The same, of a request that it has seen: it was told. */
void farewell_refuse_body(struct conn *, const struct refusal *);

/* What arrives meanwhile.  Returns how much of it was taken: all. */
size_t farewell_discard(struct conn *, struct slice);

/* The time is up, for now. */
void farewell_deadline(struct conn *);
