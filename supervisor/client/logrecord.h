/*
 * logrecord: one line of a log file (see app/logbook.h): which are wanted, and how a person
 * sees them.
 */
#pragma once

#include <regex.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"

struct logrecord {
    struct slice line; /* as it stands in the file */
    const char *time;  /* LOGFILE_TIME characters; NULL: the line is no record, but is shown */
    struct json_value name, stream, text, base64, request_id;
    struct slice instance; /* digits, or empty */
    struct slice fields;   /* or empty */
    enum log_level level;
    bool cut;
};

/* Takes a line apart; all is borrowed.  False: it is none, then only `line` is set. */
bool logrecord_read(struct slice line, struct logrecord *);

/* Which records are wanted; each condition that is set must hold. */
struct logfilter {
    const char *since, *until; /* UTC, of LOGFILE_TIME; or NULL */
    bool err, out;             /* only what was written there; both: there or there */
    bool by_level;
    enum log_level level;
    const char *request; /* its id, or the end of it as the log shows it */
    const regex_t *grep; /* of the text and the fields, as they are shown */
};

bool logfilter_matches(const struct logfilter *, const struct logrecord *);

struct logstyle {
    bool colour;
    bool time;
    bool no_prefix;
    bool json;    /* as it stands in the file */
    bool raw;     /* what the program wrote, and nothing else */
    size_t width; /* of the column with names */
};

/* Appends the record with an LF at its end. */
void logrecord_show(struct buf *, const struct logrecord *, const struct logstyle *);
