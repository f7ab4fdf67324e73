/*
 * zone: what clocks on the wall show somewhere, from the system's zone database.
 *
 * The C library knows one zone at a time, for the whole process; this reads the same files
 * (RFC 8536) for as many as there are schedules.  Once open it is pure.
 */
#pragma once

#include "base/err.h"

struct zone;

/*
 * "UTC", "local" (TZ, else /etc/localtime, else UTC), or a name like "Europe/Berlin", of a
 * file in `root` (NULL: where systems have them).  NULL with a sentence.
 */
struct zone *zone_open(const char *name, const char *root, struct err *);

/* A zone by its rule alone, as POSIX writes TZ: "CET-1CEST,M3.5.0,M10.5.0/3". */
struct zone *zone_of_rule(const char *rule, struct err *);
void zone_free(struct zone *); /* takes NULL */

/* Seconds that its clocks are ahead of UTC at that moment (seconds since 1970). */
int32_t zone_offset(const struct zone *, int64_t utc);

/* The moments at which its clocks show that time (as seconds since 1970 would be in UTC). */
struct zone_moments {
    int64_t first;
    int64_t second; /* as `first`, but for times that come twice */
    bool skipped;   /* they never show it: `first` is the moment at which they jump over it */
};

struct zone_moments zone_moments(const struct zone *, int64_t wall);

/* Days since 1970 of a date, by the Gregorian calendar; month 1..12. */
int64_t zone_days(int64_t year, unsigned month, unsigned day);

struct zone_date {
    int64_t year;
    unsigned month, day; /* 1..12, 1..31 */
    unsigned weekday;    /* 0 = Sunday */
};

struct zone_date zone_date(int64_t days);
