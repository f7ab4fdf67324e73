/*
 * store_db: the one connection to the store's file, and how it is spoken to.
 *
 * Exclusive: nobody else has the file while it is open.  Functions return 0, or an SQLite code
 * after they have kept it in `rc` with a sentence in `why`.
 */
#pragma once

#include <sqlite3.h>

#include "base/err.h"
#include "base/slice.h"
#include "bus/engine.h"
#include "bus/store_page.h"

enum {
    STORE_FORMAT = 1,                 /* user_version of what this nodey writes */
    STORE_CHECKPOINT_PAGES = 250,     /* of the log, before they are put into the file */
    STORE_CHECKPOINT_PAGES_OS = 2000, /* the same while commits do without fsync */
    STORE_APPLICATION = 0x6e6f6465    /* "node": what file(1) shows */
};

/* Where a statement works: the file, or the tables in memory that end with the connection. */
enum db_place { DB_FILE, DB_MEMORY, DB_PLACES };

struct db {
    sqlite3 *sql;
    char *path;
    struct store_page_vfs page;
    enum durability level; /* as last set */
    int rc;
    char why[160];
    int wal_pages;      /* in the log since the last checkpoint began */
    int durable_frames; /* of the log: those behind it are of no transaction that was kept */
    sqlite3_stmt *fixed[32][DB_PLACES];
    sqlite3 *saved; /* what was in the tables in memory, while the connection is closed */
};

/* The path is copied.  Opens nothing yet. */
void db_init(struct db *, const char *path);
void db_deinit(struct db *);

/* Opens or makes the file, and brings its format up to date.  0 or -1 with a sentence. */
int db_open(struct db *, struct err *) MUST_CHECK;

/* Of an open one, or of none. */
void db_close(struct db *);

/* Keeps what went wrong; returns it. */
int db_fault(struct db *);

int db_exec(struct db *, const char *sql) MUST_CHECK;

/* From now on until the next call: how durable a commit is. */
int db_set_level(struct db *, enum durability) MUST_CHECK;

/* A statement of a slot, compiled when it is first used; NULL as a fault. */
sqlite3_stmt *db_prepare(struct db *, sqlite3_stmt **slot, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Steps a statement that gives no rows, and resets it. */
int db_run(struct db *, sqlite3_stmt *) MUST_CHECK;

/* 1: a row, 0: none, or a fault (negative); not reset while it is 1. */
int db_next(struct db *, sqlite3_stmt *) MUST_CHECK;

/* What waits in the log is put into the file. */
int db_checkpoint(struct db *, bool all) MUST_CHECK;

/* After a write or a sync of the log failed, and before it is closed. */
void db_cut_log(struct db *);

/* What is in memory outlives the connection: saved before it is closed, and brought back after
   it was opened; `saved` is NULL when that could not be done. */
void db_save_memory(struct db *);
int db_bring_back(struct db *) MUST_CHECK;
void db_forget_saved(struct db *);

/* Bytes of the file and of its log. */
int db_sizes(struct db *, uint64_t *file, uint64_t *log) MUST_CHECK;

/* Empty is NULL. */
void db_bind_text(sqlite3_stmt *, int at, struct slice);
void db_bind_blob(sqlite3_stmt *, int at, struct slice);
struct slice db_text(sqlite3_stmt *, int column);
struct slice db_blob(sqlite3_stmt *, int column);

static inline const char *db_schema(enum db_place place)
{
    return place == DB_MEMORY ? "memory" : "main";
}
