/*
 * cron: five fields that say when, "0 8-18 * * mon-fri".  Pure.
 *
 * Minute, hour, day of the month, month, day of the week: each "*", numbers, names of months
 * and days, ranges, lists, and steps behind a slash.  As in every cron, when both kinds of
 * days are restricted it is enough that one matches.  Also "@hourly", "@daily", "@midnight",
 * "@weekly", "@monthly", "@yearly", "@annually".
 *
 * When clocks are put forward, what they skip is due once, at the moment of the jump; when they
 * are put back, what comes twice is due once, the first time.  What is due in every hour goes
 * on through both, as time itself does.
 */
#pragma once

#include "base/err.h"
#include "bus/zone.h"

struct cron {
    uint64_t minutes; /* bit n: at n */
    uint32_t hours;
    uint32_t days;    /* of the month, 1..31 */
    uint16_t months;  /* 1..12 */
    uint8_t weekdays; /* 0 = Sunday */
    bool any_day;     /* the field begins with "*" */
    bool any_weekday;
};

/* 0, or -1 with a sentence that names the field. */
int cron_parse(const char *text, struct cron *, struct err *) MUST_CHECK;

/* The first moment after that one, ms since 1970; INT64_MAX: never (February 30). */
int64_t cron_next(const struct cron *, const struct zone *, int64_t after_ms);
