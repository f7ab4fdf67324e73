/*
 * vfs_power: a disk in memory, for tests, whose power fails and whose writes fail.
 *
 * What was written and not synced is kept apart.  Everything is recorded, so that afterwards,
 * for any moment, the files can be made as a loss of power may have left them then: what was
 * synced, and of the rest any part, torn at 512 bytes.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "base/buf.h"

enum { POWER_FILES = 8 };

enum power_kind { POWER_WRITE, POWER_TRUNCATE, POWER_SYNC, POWER_DELETE, POWER_MARK };

struct power_event {
    enum power_kind kind;
    unsigned file;
    uint64_t offset, len; /* TRUNCATE: the size; MARK: what the test likes */
    char *bytes;          /* WRITE */
    bool lost;            /* its sync failed: no later one makes it durable */
};

struct power_file {
    char *name;
    bool exists;
    struct buf now; /* what readers see */
};

struct power {
    sqlite3_vfs vfs;
    bool *in_use; /* there is one at a time */
    pthread_mutex_t mutex;
    struct power_file files[POWER_FILES];
    bool recording;
    struct power_event *events;
    size_t count, cap;
    unsigned writes, syncs;           /* counted while recording */
    unsigned fail_write, fail_writes; /* from this one on so many fail: 1 = the first */
    int write_error;                  /* SQLITE_FULL, SQLITE_IOERR_WRITE */
    bool short_writes;                /* half of what fails is written all the same */
    unsigned fail_sync, fail_syncs;   /* from this one on so many fail */
};

/* Becomes SQLite's default. */
void power_init(struct power *);
void power_deinit(struct power *);

/* Forgets all files and events. */
void power_clear(struct power *);

/* Something happened that the test wants to find in the record. */
void power_mark(struct power *, uint64_t what);

/* Files as after the first `count` events, synced parts only, and by chance parts of the rest.
 */
struct power_image {
    struct buf files[POWER_FILES];
    bool exists[POWER_FILES];
};

/*
 * Walks through the record.  `image` keeps what is surely on the disk after `at` events; step
 * by step, so that each moment costs what is between it and the one before.
 */
struct power_walk {
    struct power *power;
    size_t at;
    struct power_image sure;
    size_t *waiting; /* events that are not synced */
    size_t waiting_count, waiting_cap;
};

void power_walk_init(struct power_walk *, struct power *);
void power_walk_deinit(struct power_walk *);
void power_walk_step(struct power_walk *);

/* What a loss of power may leave now; chance comes from `seed`, 0: what is sure only. */
void power_walk_image(const struct power_walk *, uint64_t seed, struct power_image *);
void power_image_deinit(struct power_image *);

/* The files become these; nothing is recorded or fails from now on. */
void power_install(struct power *, const struct power_image *);

/* A file's content; NULL when there is none whose name ends so. */
struct buf *power_file(struct power *, const char *ending);

/* Numbers by chance, the same for the same beginning. */
uint64_t power_chance(uint64_t *state);
