/*
 * proxied: routes to services and to addresses: what their keys mean.
 */
#pragma once

#include "config/config.h"
#include "config/reader.h"

/* An address of a route, in its parts. */
struct route_url {
    const char *address;    /* to connect to: "HOST:PORT" or "unix:PATH" */
    struct slice authority; /* for the Host field: as written, without the default port */
    struct slice base;      /* what goes before the path: "/base" or empty */
};

/*
 * Reads "http://HOST[:PORT][/base]" or "unix:PATH"; the parts are in the arena.  False: it is
 * neither.
 */
bool route_url_read(const char *text, struct arena *, struct route_url *);

/*
 * Is this where the keys of a proxied route stand?  Checks them and reads what they mean;
 * `proxied`: the route is one.  0, or a negative code with a sentence in the reader's err.
 */
int proxied_check(const struct reader *, const struct toml_node *table, struct route_config *,
                  bool proxied) MUST_CHECK;
