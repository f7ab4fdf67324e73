/*
 * busdoor: events for clients of the port, on routes that the configuration opens.
 *
 *   a route with publish = ["comment.*"]:   POST PATH/comment.created
 *   a route with events = ["comment.>"]:    GET PATH, server-sent events
 *
 * A POST is answered when what it published is as durable as its stream is: 202 with
 * {"seq":n}, or 200 with "duplicate":true for an Idempotency-Key that is known.
 */
#pragma once

#include "app/busdoor_follow.h"
#include "http/router.h"

struct busdoor {
    struct events *events;
    struct errorpage *errors;
    struct follow follow;
};

void busdoor_init(struct busdoor *, struct loop *, struct events *, struct errorpage *);
void busdoor_deinit(struct busdoor *);

/* A request to a route that publishes or streams.  Ends the exchange, sooner or later. */
void busdoor_serve(struct busdoor *, struct exchange *, const struct router_match *);

/*
 * Copies the text of one JSON value onto one line, in the arena; false with a sentence that
 * names line and column.
 */
bool busdoor_json(struct slice text, struct arena *, struct slice *out, struct err *);
