/*
 * control_bus: events and jobs at the control socket; CONTROL.md tells all of it.
 *
 *   POST /v1/publish                    one event or job, or several: all or none
 *   GET  /v1/events                     what is stored and what will be, a line of JSON each
 *   GET  /v1/bus                        streams, groups, schedules, the store
 *   POST /v1/bus/sql, /v1/bus/backup
 *   GET  /v1/dead, /v1/dead/SEQ
 *   POST /v1/dead/SEQ/VERB, /v1/dead/VERB    retry or drop one, or those of a group, a topic
 *   POST /v1/groups/NAME/seek, /v1/groups/NAME/drop
 */
#pragma once

#include "app/control.h"

/* False: it is none of these paths. */
bool control_bus(struct control *, struct exchange *);
