/*
 * statics: routes with a root answer with the files of that folder.
 *
 *      GET, HEAD ──> is there such a file? ──folder──> with a slash behind it: its index
 *                        │ file     │ no               without: 301 to the one with a slash
 *                        │          └──> spa, and it looks like a page: the root's index
 *                        v                else 404
 *            a .br, .zst or .gz beside it that the client accepts, and not older?
 *                        v
 *            304, 412, 416, one range, several ranges, or all of it
 *
 * Each request looks at the folder anew: what was changed is served at once.
 */
#pragma once

#include "app/gateway.h"

/* Answers a request for the files of match->target's route.  Ends the exchange, now or later.
 */
void statics_serve(struct gateway *, struct exchange *, const struct router_match *);
