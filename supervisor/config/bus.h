/*
 * bus: the sections of events and jobs, [bus], [streams.NAME], [queues.NAME], [schedule.NAME].
 */
#pragma once

#include "config/config.h"
#include "config/document.h"

/* Fills in all of them, with their defaults where nothing is said. */
int bus_load(struct config *, const struct documents *, struct err *) MUST_CHECK;

/* `publish` and `events` of a route, which has neither `to` nor `root`. */
int bus_check_route(const struct reader *, const struct toml_node *table,
                    struct route_config *) MUST_CHECK;
