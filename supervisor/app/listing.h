/*
 * listing: the routes that there are, for people to read.
 */
#pragma once

#include "config/config.h"
#include "pool/pool.h"

struct listed {
    struct slice method; /* "GET"; empty = any */
    struct slice path;
    const char *worker;
    size_t rank; /* for listing_sort() */
};

/*
 * All routes, at most `max`, in the order in which they were given: configured, declared,
 * by name; of a worker that does not start, the configured ones.  Those of `only` when that is
 * not NULL.  Returns how many; the strings are borrowed from the configuration, the pools and
 * the arena, until the loop's next turn.
 */
size_t listing_routes(const struct config *, const struct pools *, const char *only,
                      struct arena *, struct listed *out, size_t max);

/* No process of this worker is ready, and why is known: its routes are not. */
bool listing_is_down(const struct pool *);

/*
 * Might any path be one of a worker whose routes are not known, because it is not up and nobody
 * wants it so?
 */
bool listing_is_incomplete(const struct config *, const struct pools *);

/* The nearest to this path first, by how many bytes differ. */
void listing_sort(struct listed *, size_t count, struct slice path);
