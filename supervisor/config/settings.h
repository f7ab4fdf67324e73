/*
 * settings: the table of everything that can be configured.
 *
 * Reading, bounds, defaults, errors and `nodey help config` derive from it, so a
 * new setting is one row here and one field in config.h.
 */
#pragma once

#include "config/reader.h"

extern const struct section section_server;      /* struct server_config */
extern const struct section section_worker;      /* struct worker_config */
extern const struct section section_service;     /* struct worker_config, of a service */
extern const struct section section_healthcheck; /* struct healthcheck_config */
extern const struct section section_route;       /* struct route_config */
extern const struct section section_bus;         /* struct bus_config */
extern const struct section section_stream;      /* struct stream_config */
extern const struct section section_queue;       /* struct queue_config */
extern const struct section section_schedule;    /* struct schedule_config */
