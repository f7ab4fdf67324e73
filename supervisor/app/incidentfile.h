/*
 * incidentfile: reports of what went wrong, one small JSON file each, in a folder.
 *
 * Named for their id, "2026-11-21-0003": the day and a count, so that they sort by time.  A
 * file is written beside its place and then moved there: whoever reads sees all of it or
 * nothing.  Also for commands, when no nodey is up.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum { INCIDENT_ID = 24, INCIDENT_BYTES = 64 << 10 };

/* "DATA_DIR/incidents"; the caller frees it. */
char *incident_folder(const char *data_dir);

/* Is it made like an id? */
bool incident_is_id(struct slice);

/* Ids, newest first. */
struct incident_ids {
    char (*items)[INCIDENT_ID];
    size_t count;
};

/* Of a folder that is not there: none.  0, or a negative code with a sentence. */
int incident_ids_read(struct incident_ids *, const char *folder, struct err *) MUST_CHECK;
void incident_ids_deinit(struct incident_ids *);

/* The id behind this one ("" or another day's: the first) on this day, "2026-11-21". */
void incident_next_id(const char *last, const char *day, char id[INCIDENT_ID]);

/* Appends a report's JSON.  0; UV_ENOENT; or another negative code with a sentence. */
int incident_read(const char *folder, const char *id, struct buf *, struct err *) MUST_CHECK;

/* Makes the folder when it is missing. */
int incident_write(const char *folder, const char *id, struct slice json,
                   struct err *) MUST_CHECK;

/* Removes the oldest until `keep` are left, and what was left half-written. */
void incident_prune(const char *folder, size_t keep);
