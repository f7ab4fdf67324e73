/*
 * incidentjson: what is known of a worker's end, in words and as JSON.
 *
 *   {"id","time","program","kind","instance","pid","generation","reason","sentence",
 *    "age_ms","was_ready","exit":{"status"|"signal"},"did",
 *    "requests":[{"id","what","route","ms","begun","given_up"}],"requests_more",
 *    "lines":[{"time","stream","text"}],"stack":[...],
 *    "usage":{"memory","cpu_ms","threads","processes"},"advice":[...],
 *
 * and, from incidents.c, "then","restarts","recovered_ms","again":{"count","last"} and
 * "quarantine":[...].  What is not known is left out.
 */
#pragma once

#include "base/secret.h"
#include "pool/pool.h"

/* Why it ended, in one word: the `reason` of a report. */
enum incident_reason {
    INCIDENT_NONE, /* it was told to, or may: there is nothing to report */
    INCIDENT_CRASH,
    INCIDENT_FROZEN,
    INCIDENT_STUCK,
    INCIDENT_MEMORY,
    INCIDENT_PIDS,
    INCIDENT_START,
    INCIDENT_PROTOCOL,
};

enum incident_reason incident_reason(const struct worker *);
const char *incident_reason_name(enum incident_reason);

/* What is not to be shown. */
struct incident_secrets {
    const struct secrets *values; /* NULL = none are known */
    const char *const *names;     /* further patterns, see secret_is_name() */
};

/* One sentence: "killed by SIGKILL: above its memory limit of 512M". */
void incident_sentence(const struct worker *, const char *how, const struct incident_secrets *,
                       struct buf *);

/* The route of what it worked on, or else the path, to tell one cause from another; or "". */
void incident_route(const struct worker *, char *text, size_t size);

/*
 * Appends the object up to its last brace, in less than INCIDENT_BYTES / 2: of what is too
 * long less is told.
 */
void incident_write_json(const struct worker *, const char *id, const char *how,
                         const struct incident_secrets *, struct buf *);

/* Appends "2026-11-21T18:40:03.123Z". */
void incident_write_time(uint64_t wall_ms, struct buf *);
uint64_t incident_wall_ms(void);
