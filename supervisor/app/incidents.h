/*
 * incidents: a report of each process that ended and should not have.
 *
 * What was known of it is collected when it ends; what nodey did then stands in the report
 * when it is written, at the end of the same turn of the loop, and when another is ready in
 * its place that is added.  The same thing again within a minute is counted in the first
 * report, so that a crash loop writes one.
 *
 * Nothing here can fail nodey: a disk that is full is told of once.
 */
#pragma once

#include "app/incidentfile.h"
#include "app/incidentjson.h"

enum { INCIDENT_CAUSES = 64 };

/* A report that may still change. */
struct incident {
    char id[INCIDENT_ID]; /* "": this one is free */
    uint64_t cause;       /* a hash: program, reason, exit and route */
    char program[65];
    unsigned instance;
    uint64_t began_ms; /* when the report was made, by the loop's clock */
    uint64_t last_ms;  /* when that happened last */
    uint64_t last_wall_ms;
    unsigned again;        /* times after the first */
    bool is_down;          /* nobody has been ready in its place since */
    uint64_t recovered_ms; /* how long that took; 0 = not known */
    bool is_new;           /* `text` is to be written */
    bool changed;          /* its file does not say all of this yet */
    struct buf text;       /* JSON up to its last brace */
};

struct incidents {
    struct loop *loop;
    struct pools *pools;
    char *folder;
    size_t keep;  /* 0: none are written */
    size_t count; /* files there are, about */
    struct incident_secrets secrets;
    struct incident *items; /* INCIDENT_CAUSES of them */
    char last_id[INCIDENT_ID];
    struct task write;   /* what is new */
    struct timer update; /* what has changed */
    bool failing;        /* the last one could not be written, and that was told */
};

/* In zeroes it keeps nothing and may be given everything. */
void incidents_init(struct incidents *, struct pools *, const char *data_dir, size_t keep,
                    const struct incident_secrets *);

/* Writes what has not been written yet. */
void incidents_deinit(struct incidents *);

/* See struct pool_observer: sets worker->incident. */
void incidents_ended(struct incidents *, struct worker *, const char *how);
void incidents_ready(struct incidents *, const struct worker *);

/* From now on so many are kept, and these names are secret as well; both outlive it. */
void incidents_configure(struct incidents *, size_t keep, const char *const *names);

/*
 * Appends an array of reports, newest first, at most `max`: of one program, or of all when it
 * is empty.  What cannot be read is left out, and so is what is older than thousands of others.
 */
void incidents_write_list(const char *folder, struct slice program, size_t max, struct buf *);
