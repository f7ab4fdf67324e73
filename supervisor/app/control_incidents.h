/*
 * control_incidents: the reports of incidents.h, over the control socket.
 *
 *   GET /v1/incidents?program=NAME&limit=20    an array, newest first
 *   GET /v1/incidents/ID                       one of them
 */
#pragma once

#include "app/control.h"

void control_incidents(struct control *, struct exchange *);
void control_incident(struct control *, struct exchange *, struct slice id);
