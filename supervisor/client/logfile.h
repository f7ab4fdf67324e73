/*
 * logfile: the log of one program, line by line from the oldest to the newest, through all of
 * its files (see app/rotate.h), while nodey goes on writing and putting them aside.
 *
 * Memory stays flat however long the files are.  A file that was opened is read to its end,
 * whatever becomes of its name.
 */
#pragma once

#include "base/slice.h"

/* "2026-11-21T18:40:00.123456Z", as records have it: compared as text. */
enum { LOGFILE_TIME = 27 };

struct logfile;

/* Opens the files that are there now; there may be none.  It stands before the oldest line. */
struct logfile *logfile_open(const char *dir, const char *name);
void logfile_close(struct logfile *);

/* Moves on to where lines are of that time or later; some before it may come as well. */
void logfile_since(struct logfile *, const char *time);

/*
 * Moves on to the last `count` lines from here that match.  NULL matches all.  Reads from the
 * end, so that it takes no longer when there are many.
 */
void logfile_last(struct logfile *, size_t count, bool (*match)(void *arg, struct slice line),
                  void *arg);

/* The next whole line, without its LF; valid until the next call.  False: no more for now. */
bool logfile_next(struct logfile *, struct slice *line);

/* After false: has more come?  Also when the file was put aside, removed or emptied meanwhile.
 */
void logfile_refresh(struct logfile *);

/* The time of a line that is a record; NULL for another. */
const char *logfile_time(struct slice line);
