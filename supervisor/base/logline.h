/*
 * logline: a line of a log that is a JSON object, as pino, bunyan, structlog and many others
 * write it: what it says, how important it is, and the rest as name=value.
 */
#pragma once

#include "base/json.h"
#include "base/log.h"

struct logline {
    struct slice object;       /* all of the line */
    struct json_value message; /* "msg", "message" or "event"; raw.len 0: it has none */
    enum log_level level;      /* "level", "severity" ...; LOG_INFO when it does not say */
};

/*
 * True when the line is one JSON object and clean UTF-8.  Borrows the line.  It has at most
 * LOGLINE_MAX members: what has more is somebody's data.
 */
enum { LOGLINE_MAX = 128 };

bool logline_read(struct slice line, struct logline *);

/*
 * Appends ` name=value` for each member; strings without quotes where that is clear.  Of a
 * `whole` line those are left out that logline_read() has read, and what each line of a log
 * says again: time, pid, hostname, v.
 */
void logline_add_fields(struct buf *, struct slice object, bool whole);
