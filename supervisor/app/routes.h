/*
 * routes: which worker serves which path, from the configuration and from what the
 * workers declare.
 *
 * Configured routes win over declared ones.  A pool that has neither serves /NAME
 * and everything below it, unless it handles events and says that it has no routes.
 * Rebuilt when a declaration is new.
 *
 * A route with a root has no worker: see statics.h; nor has one to addresses: see proxy.h; nor
 * one that publishes or streams events: see busdoor.h.  A
 * service declares nothing and has the routes that are configured for it.
 */
#pragma once

#include "app/cached.h"
#include "config/config.h"
#include "http/router.h"
#include "pool/pool.h"

struct route {
    struct pool *pool;                /* NULL: of files, or of addresses */
    const struct route_config *files; /* whose root is served; else NULL */
    const struct route_config *proxy; /* of a service or of addresses; else NULL */
    const struct route_config *bus;   /* publishes or streams events; else NULL */
    struct slice token;               /* the handler's token; empty = by path */
    uint64_t timeout_ms;              /* 0 = the pool's */
    struct cache_rule cache;
};

struct routes {
    struct config *config;
    struct pools *pools;
    struct router *router;
    struct arena arena; /* the struct route of this router */
};

/* Who answers, for people: the worker's or service's name, "files", or an address. */
const char *route_server(const struct route *);

void routes_init(struct routes *, struct config *, struct pools *);
void routes_deinit(struct routes *);

/* Another configuration; builds the router anew. */
void routes_configure(struct routes *, struct config *);

/* Is /NAME, with what is below it, the pool's when nothing is configured for it? */
bool routes_by_name(const struct pool *);

/* Builds the router anew; conflicts are told of. */
void routes_rebuild(struct routes *);
