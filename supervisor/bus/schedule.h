/*
 * schedule: what is published by the clock, [schedule.NAME].
 *
 * When a schedule last ran stands in the store, in the stream "schedules", and is stored with
 * what it publishes in one transaction: after a restart what ran does not run again, and of
 * what was due meanwhile the last one is made up for.  A clock that is set back does not repeat
 * a time, one that is set forward, or a machine that slept, makes up for one.
 */
#pragma once

#include "bus/bus.h"
#include "bus/cron.h"

struct schedules;

/* 0, or a sentence why this cannot be one: for checks of a configuration. */
int schedule_check(const struct schedule_config *, struct err *) MUST_CHECK;

/* Those of the bus's configuration. */
struct schedules *schedules_new(struct bus *);
void schedules_configure(struct schedules *);

/* Publishes nothing any more.  Freed when its ops have ended, with the bus. */
void schedules_stop(struct schedules *);
void schedules_free(struct schedules *);

/* Appends a JSON array. */
void schedules_describe(const struct schedules *, struct buf *);

/* ------------------------------------------------- pure: what is due, and when */

struct schedule_time {
    bool by_cron;
    struct cron cron;
    const struct zone *zone;
    uint64_t every_ms;
};

/*
 * The one to run now, of those after `last_ms` the latest that is not after `now_ms`; 0: none
 * is due.  *next_ms is the first one after that.
 */
int64_t schedule_due(const struct schedule_time *, int64_t last_ms, int64_t now_ms,
                     int64_t *next_ms);
