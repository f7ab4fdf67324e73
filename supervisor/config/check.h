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

/* Also for [defaults]: the table is what was read last, and is where blame falls. */
int check_worker(const struct reader *, const struct toml_node *table,
                 struct worker_config *) MUST_CHECK;

/* Whether the `to` of a route, which may be missing, names an address: "http://...",
 * "unix:...". */
bool check_names_address(const struct toml_node *to);

/* After the workers are known. */
int check_route(const struct reader *, const struct toml_node *table, const struct config *,
                struct route_config *) MUST_CHECK;

/* Where a route of c->routes stands. */
struct route_origin {
    const struct reader *reader;
    struct toml_place at;
};

/* Whether an earlier route serves the same; `origins` are those of c->routes. */
int check_route_is_new(const struct route_origin *origins, const struct config *,
                       size_t index) MUST_CHECK;

/* Of the n-th string in a value that is a list or a single string. */
struct toml_place check_item_place(const struct toml_node *value, size_t n);
