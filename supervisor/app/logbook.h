/*
 * logbook: what each program writes, and what nodey says about it, in a file of its own:
 * DATA_DIR/logs/NAME.log, one JSON object a line, for `nodey logs` and for machines.
 *
 *   {"time":"2026-11-21T18:40:00.123456Z","name":"api","instance":0,"stream":"stderr",
 *    "level":"info","text":"listening on 3001"}
 *
 * `time` comes first and has always this length, so that files can be searched by it.
 * `instance` is missing where it is about all.  `stream` is "stdout", "stderr", "log" (a log
 * frame), "error" (why a worker cannot start) or "nodey".  Further members, where they are
 * known: `fields`, the object of a line that is one, byte for byte, or of a log frame;
 * `request` and `request_id`; `cut`, when the line was longer; `base64`, the line's bytes when
 * they are no UTF-8, which `text` then shows as \xNN.  What nodey says about itself is in
 * nodey.log.
 *
 * The loop never waits for the disk: lines are collected for some milliseconds, a thread
 * appends them.  What the disk does not take is kept up to a bound, then dropped, counted and
 * told.  What a SIGKILL of nodey loses are the lines of those milliseconds.
 */
#pragma once

#include <stdatomic.h>

#include "base/keymap.h"
#include "config/config.h"
#include "loop/work.h"

enum {
    LOGBOOK_FLUSH_MS = 10,         /* lines wait that long for others */
    LOGBOOK_BYTES_MAX = 8 << 20,   /* held back for the disk, of all programs */
    LOGBOOK_PROGRAM_MAX = 4 << 20, /* of one of them */
    LOGBOOK_PROGRAMS = 4096,       /* names that have a file in one run of nodey */
    LOGBOOK_RETRY_MS = 1000,       /* after a write that failed */
};

struct logbook_file;

struct logbook {
    struct loop *loop; /* NULL: it keeps nothing */
    char *dir;
    uint64_t max_size;
    uint64_t max_files;
    bool compress;
    bool on;             /* lines are kept */
    bool closing;        /* as soon as all is written it keeps nothing more */
    struct keymap names; /* struct logbook_file.node */
    struct logbook_file **files;
    size_t count;
    size_t bytes; /* held by all, those under way included */
    struct timer flush;
    struct work write;
    struct work pack;
    struct logbook_file **batch; /* those that `write` works on */
    size_t batch_count;
    struct logbook_file *packing; /* the one that `pack` works on */
    atomic_bool stop_packing;
    unsigned failing; /* files whose last write failed */
    int why;          /* errno of the failure that was told; 0 = it was only too slow */
    uint64_t lost;    /* lines, since that was last told */
    uint64_t told_ms; /* when */
    long second;      /* of which `stamp` is */
    char stamp[32];   /* "2026-11-21T18:40:00" */
};

/* `struct logbook` in zeroes keeps nothing.  From now on it is the log's keeper. */
void logbook_open(struct logbook *, struct loop *, const struct server_config *);

/* The settings are new: whether there are files, how large and how many. */
void logbook_configure(struct logbook *, const struct server_config *);

/* Writes what it holds, without waiting for it; then the loop may end. */
void logbook_close(struct logbook *);

/* After the loop has ended; writes what has come meanwhile. */
void logbook_deinit(struct logbook *);
