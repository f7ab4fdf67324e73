/*
 * routesjson: the routes of routes.json, as the balancers of old had them.
 *
 *     [{"path": "/users/:id", "method": "get", "target": "node", "description": "..."}]
 *
 * The list may also stand in an object, as "routes".  A method is in any case, or a list
 * of them; "ALL", "*" or none means any.  A target is a worker's name, or
 * "worker:Token"; "node" and "python" are also the only worker in that language, or the
 * only one that lies in workers/node* (python*).  Paths are written as Express writes
 * them; what our router has too is understood, the rest is refused.  Unlike Express the
 * most specific route wins, whatever their order, and case and a slash at the end count.
 *
 * A comma too many, an unknown key and a route that [[routes]] has already are told of
 * and otherwise forgiven.
 */
#pragma once

#include "config/config.h"
#include "config/journal.h"

enum { ROUTESJSON_MAX_FILE = 4 * 1024 * 1024 }; /* bytes */

/*
 * Appends the routes of `c->dir`/routes.json, if there is one, to c->routes.  After the
 * workers and [[routes]].  0, or a negative code and "routes.json:line:column: sentence".
 */
int routesjson_load(struct config *, struct journal *, struct err *) MUST_CHECK;
