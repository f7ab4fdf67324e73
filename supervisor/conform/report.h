/*
 * conform_report: what the checks found, for a person or as JSON.
 */
#pragma once

#include "base/buf.h"

enum check_result { CHECK_OK, CHECK_FAIL, CHECK_NOTE };

/*
 * One check.  It is open from report_begin() to the first verdict, or to report_end(),
 * which makes it a success.
 */
struct check {
    const char *name;    /* what holds: "answers a request" */
    const char *section; /* of PROTOCOL.md, "7"; NULL: it is a golden transcript */
    unsigned feature;    /* what it belongs to, enum ready_feature; 0 = level 0 */
    enum check_result result;
    struct buf sent; /* lines, each with its LF */
    struct buf came;
    char why[512];
    const char *mend; /* static; NULL: the sentence says it all */
};

struct report {
    struct check *checks;
    size_t count;
    bool open; /* the last one still is */
    bool colour;
    bool quiet;   /* nothing is printed before the end */
    bool verbose; /* what was sent and what came is shown of every check, not of failures alone
                   */
};

void report_deinit(struct report *);

void report_begin(struct report *, const char *name, const char *section, unsigned feature);

/* What was sent or came: kept to be shown when the open check fails. */
void report_sent(struct report *, struct slice line);
void report_came(struct report *, struct slice line);

/* The open check has not held, or there is something to say about it. */
void report_fail(struct report *, const char *mend, const char *fmt, ...) PRINTF_LIKE(3, 4);
void report_note(struct report *, const char *mend, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The check is over: a success, unless it has a verdict. */
void report_end(struct report *);

/* How many have this result, of those of a feature (or of level 0). */
size_t report_count(const struct report *, enum check_result, unsigned feature);
size_t report_count_all(const struct report *, enum check_result);

/* The checks as a JSON array. */
void report_write_json(const struct report *, struct buf *);
