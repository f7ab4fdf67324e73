/*
 * control_reply: how the control socket reads a request's parameters and answers.
 */
#pragma once

#include "base/buf.h"
#include "http/server.h"

/*
 * A problem as the port answers them, with the protocol's `code` beside it, and `data` (raw
 * JSON; empty: none).  Ends the exchange.
 */
void control_refuse(struct exchange *, unsigned status, const char *code, struct slice detail,
                    struct slice data);

/* 400, in these words. */
void control_invalid(struct exchange *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* 405. */
void control_refuse_method(struct exchange *, const char *allow);

/* 200 with this.  Ends the exchange. */
void control_answer(struct exchange *, struct slice json);

/* The field of that name (lower case), or an empty slice. */
struct slice control_field(const struct http_request *, const char *name);

/*
 * The parameter of that name behind the "?", as it is written: what the endpoints take needs no
 * decoding.  False when there is none.
 */
bool control_parameter(const struct http_request *, const char *name, struct slice *value);
