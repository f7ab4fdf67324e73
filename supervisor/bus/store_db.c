#include "bus/store_db.h"

#include <stdio.h>

#include "bus/store_log.h"

/* What a file of a format becomes the next one by; the first makes an empty file one of ours.
 */
static const char *const MIGRATIONS[STORE_FORMAT] = {
    "CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " work INT NOT NULL, level INT NOT NULL) STRICT;"
    "CREATE TABLE consumer(id INTEGER PRIMARY KEY, stream INT NOT NULL, name TEXT NOT NULL,"
    " config TEXT NOT NULL, patterns TEXT NOT NULL, settled INT NOT NULL, hi INT NOT NULL,"
    " open BLOB NOT NULL, UNIQUE(stream, name)) STRICT;"
    /* Per topic of a stream how much came and how much is there; topic 0: of those for one
       group only.  Stream 0 has what is the store's: (seq, delayed, time) and (commits), and
       as topic N+1 of each stream N that has any: (newest seq removed, delayed). */
    "CREATE TABLE tally(stream INT NOT NULL, topic INT NOT NULL, name TEXT NOT NULL,"
    " total INT NOT NULL, stored INT NOT NULL, bytes INT NOT NULL,"
    " PRIMARY KEY(stream, topic)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE pending(consumer INT NOT NULL, seq INT NOT NULL, tries INT NOT NULL,"
    " due INT NOT NULL, why TEXT, PRIMARY KEY(consumer, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE delayed(due INT NOT NULL, n INT NOT NULL, frame BLOB NOT NULL,"
    " PRIMARY KEY(due, n)) STRICT, WITHOUT ROWID;"
    /* What came with a msgid lately: sixteen bytes of its hash. */
    "CREATE TABLE dedupe(n INTEGER PRIMARY KEY, seq INT NOT NULL, ts INT NOT NULL,"
    " hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE blob(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
    "INSERT INTO tally VALUES(0, 0, 'seq, delayed, time', 0, 0, 0), (0, 1, 'commits', 0, 0, "
    "0);",
};

static const char MEMORY_TABLES[] =
    "ATTACH ':memory:' AS memory;"
    "CREATE TABLE memory.tally(stream INT, topic INT, name TEXT, total INT, stored INT, bytes "
    "INT,"
    " PRIMARY KEY(stream, topic)) WITHOUT ROWID;"
    "CREATE TABLE memory.pending(consumer INT, seq INT, tries INT, due INT, why TEXT,"
    " PRIMARY KEY(consumer, seq)) WITHOUT ROWID;"
    "CREATE TABLE memory.delayed(due INT, n INT, frame BLOB, PRIMARY KEY(due, n)) WITHOUT "
    "ROWID;";

void db_init(struct db *db, const char *path)
{
    *db = (struct db){.path = xstrdup(path)};
    store_page_init(&db->page);
}

void db_deinit(struct db *db)
{
    db_close(db);
    db_forget_saved(db);
    store_page_deinit(&db->page);
    xfree(db->path);
}

int db_fault(struct db *db)
{
    int code = sqlite3_extended_errcode(db->sql);
    db->rc = code ? code : SQLITE_ERROR;
    snprintf(db->why, sizeof(db->why), "%s (%d)", sqlite3_errmsg(db->sql), db->rc);
    return -1;
}

int db_exec(struct db *db, const char *sql)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fault(db);
}

/* Takes effect when it is compiled, so it cannot be a statement that is kept. */
int db_set_level(struct db *db, enum durability level)
{
    if (db->level == level)
        return 0;
    int rc = db_exec(db, level == DURABILITY_FSYNC ? "PRAGMA main.synchronous=FULL"
                                                   : "PRAGMA main.synchronous=NORMAL");
    if (rc == 0)
        db->level = level;
    return rc;
}

sqlite3_stmt *db_prepare(struct db *db, sqlite3_stmt **slot, const char *format, ...)
{
    if (*slot)
        return *slot;
    char sql[640];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    if (sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) !=
        SQLITE_OK) {
        IGNORE(db_fault(db)); /* NULL says it */
        return NULL;
    }
    return *slot;
}

int db_next(struct db *db, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        IGNORE(db_fault(db)); /* before the reset forgets it */
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

int db_run(struct db *db, sqlite3_stmt *stmt)
{
    int rc = db_next(db, stmt);
    if (rc > 0)
        sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

int db_checkpoint(struct db *db, bool all)
{
    int mode = all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int frames = 0, copied = 0;
    db->wal_pages = 0;
    if (sqlite3_wal_checkpoint_v2(db->sql, "main", mode, &frames, &copied) != SQLITE_OK)
        return db_fault(db);
    if (frames == copied)
        db->durable_frames = 0; /* all is in the file: the log begins anew */
    return 0;
}

/*
 * Frames whose fsync failed may be in the kernel's memory and not on the disk, and the next
 * fsync would say that all is well.  So they must not be found when the log is read again.
 */
void db_cut_log(struct db *db)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 size = 0, keep = 0;
    sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!log || !log->pMethods || log->pMethods->xFileSize(log, &size) != SQLITE_OK)
        return;
    if (db->durable_frames)
        keep = LOG_HEAD + (sqlite3_int64)db->durable_frames * (LOG_FRAME_HEAD + STORE_PAGE);
    if (size <= keep || log->pMethods->xTruncate(log, keep) != SQLITE_OK)
        return;
    log->pMethods->xSync(log,
                         SQLITE_SYNC_NORMAL); /* if it fails, sums tell what is not whole */
}

/* Page by page, all of it. */
static int copy_schema(sqlite3 *to, const char *to_name, sqlite3 *from, const char *from_name)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, to_name, from, from_name);
    if (!copy)
        return -1;
    int rc = sqlite3_backup_step(copy, -1);
    return sqlite3_backup_finish(copy) == SQLITE_OK && rc == SQLITE_DONE ? 0 : -1;
}

void db_save_memory(struct db *db)
{
    db_forget_saved(db);
    if (sqlite3_open(":memory:", &db->saved) != SQLITE_OK ||
        copy_schema(db->saved, "main", db->sql, "memory"))
        db_forget_saved(db);
}

int db_bring_back(struct db *db)
{
    return copy_schema(db->sql, "memory", db->saved, "main") ? db_fault(db) : 0;
}

void db_forget_saved(struct db *db)
{
    sqlite3_close(db->saved);
    db->saved = NULL;
}

int db_sizes(struct db *db, uint64_t *file, uint64_t *log)
{
    sqlite3_file *files[2] = {NULL, NULL};
    sqlite3_int64 sizes[2] = {0, 0};
    sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_FILE_POINTER, &files[0]);
    sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &files[1]);
    for (unsigned i = 0; i < 2; i++)
        if (files[i] && files[i]->pMethods &&
            files[i]->pMethods->xFileSize(files[i], &sizes[i]) != SQLITE_OK)
            return db_fault(db);
    *file = (uint64_t)sizes[0];
    *log = (uint64_t)sizes[1];
    return 0;
}

void db_bind_text(sqlite3_stmt *stmt, int at, struct slice text)
{
    if (text.len)
        sqlite3_bind_text(stmt, at, text.ptr, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, at);
}

void db_bind_blob(sqlite3_stmt *stmt, int at, struct slice bytes)
{
    sqlite3_bind_blob(stmt, at, bytes.len ? bytes.ptr : "", (int)bytes.len, SQLITE_STATIC);
}

/* The bytes first: a conversion may move them. */
struct slice db_text(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return (struct slice){text, text ? (size_t)sqlite3_column_bytes(stmt, column) : 0};
}

struct slice db_blob(sqlite3_stmt *stmt, int column)
{
    const char *bytes = sqlite3_column_blob(stmt, column);
    return (struct slice){bytes, bytes ? (size_t)sqlite3_column_bytes(stmt, column) : 0};
}

static int on_commit(void *arg, sqlite3 *sql, const char *schema, int pages)
{
    struct db *db = arg;
    (void)sql, (void)schema;
    db->wal_pages = db->durable_frames = pages;
    return SQLITE_OK;
}

static int number(struct db *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(db, &stmt, "%s", sql))
        return -1;
    int rc = db_next(db, stmt);
    if (rc > 0)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc < 0 ? -1 : 0;
}

/* All or nothing, each step: a crash between two is gone on from. */
static int migrate(struct db *db, int64_t from)
{
    for (int64_t format = from; format < STORE_FORMAT; format++) {
        char mark[96];
        snprintf(mark, sizeof(mark),
                 "PRAGMA user_version=%lld; PRAGMA application_id=%d; COMMIT",
                 (long long)format + 1, STORE_APPLICATION);
        if (db_exec(db, "BEGIN IMMEDIATE") || db_exec(db, MIGRATIONS[format]) ||
            db_exec(db, mark))
            return -1;
    }
    return 0;
}

static int check_format(struct db *db, struct err *err)
{
    int64_t format = 0, application = 0, tables = 0;
    if (number(db, "PRAGMA user_version", &format) ||
        number(db, "PRAGMA application_id", &application) ||
        number(db, "SELECT count(*) FROM sqlite_schema", &tables))
        return -1;
    if (tables > 0 && application != STORE_APPLICATION)
        return err_set(err, -1, "%s is not a store of nodey's; move it away", db->path);
    if (format > STORE_FORMAT)
        return err_set(err, -1,
                       "%s has format %lld, written by a newer nodey; this one reads up to %d: "
                       "use the newer one",
                       db->path, (long long)format, STORE_FORMAT);
    return migrate(db, format);
}

/* A damaged page, a foreign file and a second process each have their own sentence. */
static int cannot_open(struct db *db, struct err *err)
{
    if (err->text[0])
        return -1;
    if ((db->rc & 0xff) == SQLITE_BUSY)
        return err_set(err, -1, "%s is open in another process; stop that one first", db->path);
    if (db->page.damaged)
        return err_set(err, -1,
                       "%s is damaged: page %llu has a wrong checksum, where the store's own "
                       "state is kept; restore a backup, or move the file away to begin anew",
                       db->path, (unsigned long long)db->page.damaged);
    return err_set(err, -1, "%s cannot be used as a store: %s", db->path, db->why);
}

/*
 * Exclusive before anything else, so that the log needs no memory that processes share.  Then
 * SQLite's own memory is bounded, and the log is put into the file when we say so.
 */
static const char SETTINGS[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;"
    "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;";
static const char NEW_FILE[] = "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL;";
static const char LOG_SETTINGS[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;"
    "PRAGMA wal_autocheckpoint=0;";

/* The log is put into the file at once: what it has is whole, and it begins anew. */
static int set_up(struct db *db, struct err *err)
{
    int reserve = STORE_PAGE_SUM;
    int64_t pages = 0;
    if (sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve) !=
        SQLITE_OK)
        return db_fault(db);
    if (db_exec(db, SETTINGS) || number(db, "PRAGMA page_count", &pages) ||
        (pages == 0 && db_exec(db, NEW_FILE)) || db_exec(db, LOG_SETTINGS))
        return -1;
    sqlite3_wal_hook(db->sql, on_commit, db);
    if (check_format(db, err) || db_exec(db, MEMORY_TABLES))
        return -1;
    return db_checkpoint(db, true);
}

int db_open(struct db *db, struct err *err)
{
    err->text[0] = '\0';
    db->page.strict = true;
    db->page.damaged = 0;
    db->level = DURABILITY_FSYNC;
    db->durable_frames = 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = 0;
    if (sqlite3_open_v2(db->path, &db->sql, flags, db->page.name) != SQLITE_OK)
        rc = db_fault(db);
    if (rc == 0)
        rc = set_up(db, err);
    if (rc) {
        rc = cannot_open(db, err);
        db_close(db);
    }
    return rc;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < ARRAY_LEN(db->fixed); i++)
        for (size_t place = 0; place < DB_PLACES; place++) {
            sqlite3_finalize(db->fixed[i][place]);
            db->fixed[i][place] = NULL;
        }
    if (db->sql)
        sqlite3_close(db->sql);
    db->sql = NULL;
}
