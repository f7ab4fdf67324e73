/* identity: what a request asks for, as a pool knows it again; see pool/quarantine.h. */
#pragma once

#include "app/gateway.h"

/*
 * Fills it in from the request and from the route that it has now: "/users/:id" for
 * "/users/7".  What lies behind a route's "*" stays as it is, for there a whole app may be.
 * Borrows from both.
 */
void identity_read(const struct gateway *, const struct http_request *, struct arena *,
                   struct call_identity *);

/* The same for people.  Borrows from the request. */
void identity_describe(const struct http_request *, struct call_about *);
