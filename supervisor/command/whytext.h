/* whytext: a report, see app/incidentjson.h, as a person reads it.  Pure but for the zone. */
#pragma once

#include "base/json.h"

/* Appends all of it. */
void whytext_report(const struct json_value *report, bool colour, struct buf *);

/* Appends one line: its id, when, who, and what happened. */
void whytext_line(const struct json_value *report, struct buf *);
