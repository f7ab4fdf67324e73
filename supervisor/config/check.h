/*
 * check: what a section means beyond the types of its values.
 *
 * Each takes the table that was read, for the places of its keys, and returns 0 or
 * a negative code with a sentence in the reader's err.
 */
#pragma once

#include "config/config.h"
#include "config/reader.h"

int check_server(const struct reader *, const struct toml_node *table,
                 struct server_config *) MUST_CHECK;

/* Also works out argv, the way of being ready, and the working directory. */
int check_worker(const struct reader *, const struct toml_node *table,
                 struct worker_config *) MUST_CHECK;

/* After the workers are known. */
int check_route(const struct reader *, const struct toml_node *table, const struct config *,
                struct route_config *) MUST_CHECK;

/* Whether an earlier route serves the same: `tables` are those of c->routes. */
int check_route_is_new(const struct reader *, const struct toml_node *routes,
                       const struct config *, size_t index) MUST_CHECK;
