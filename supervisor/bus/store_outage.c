/*
 * What has failed is closed and opened again, until it can be.
 *
 * After a failed fsync nobody knows what is on the disk, and a second one would say nothing. So
 * the log is cut behind the last transaction that was kept, and the file is closed and opened
 * again, which reads what is there.  The number of the last commit then says how the batch
 * ended.  It is open when it has written something, and synced it: else a disk that can be read
 * and not written would be opened again for each batch.
 */
#include <stdio.h>

#include "bus/store_core.h"

enum {
    RETRY_FIRST_MS = 50, /* doubled up to the next */
    RETRY_MS = 1000,
    TELL_MS = 60000, /* between two sentences about one outage */
};

/* ---------------------------------------------------------- what is said of it */

bool outage_goes_on(struct outage *o, int64_t now_ms)
{
    if (o->over_ms && now_ms - o->over_ms >= TELL_MS)
        *o = (struct outage){0};
    o->over_ms = 0;
    o->times++;
    if (o->times > 1 && now_ms >= o->told_ms && now_ms - o->told_ms < TELL_MS)
        return false;
    o->since_ms = o->since_ms ? o->since_ms : now_ms;
    o->told_ms = now_ms;
    o->told = o->times;
    return true;
}

bool outage_ends(struct outage *o, int64_t now_ms)
{
    if (!o->since_ms || o->over_ms)
        return false;
    o->over_ms = now_ms;
    if (o->ended_ms && now_ms >= o->ended_ms && now_ms - o->ended_ms < TELL_MS)
        return false;
    o->ended_ms = now_ms;
    o->told = o->times;
    return true;
}

bool outage_is_past(struct outage *o, int64_t now_ms)
{
    if (!o->over_ms || now_ms - o->over_ms < TELL_MS)
        return false;
    bool untold = o->times > o->told;
    o->told = o->times;
    return untold;
}

static long long seconds(const struct outage *o, int64_t now_ms)
{
    return (long long)(now_ms - o->since_ms) / 1000;
}

static void tell_failure(struct store *s, const char *why, const struct err *err)
{
    struct outage *o = &s->failing;
    int64_t now = store_wall_ms();
    if (!outage_goes_on(o, now))
        return;
    if (o->times > 1)
        store_tell(s, LOG_ERROR, "the store has failed %llu times in %lld s: %s",
                   (unsigned long long)o->times, seconds(o, now), err ? err->text : why);
    else if (err)
        store_tell(s, LOG_ERROR,
                   "the store has failed: %s; it is closed, and cannot be opened again: %s; it "
                   "is tried each second, and publishes are refused meanwhile",
                   why, err->text);
    else
        store_tell(s, LOG_ERROR, "the store has failed: %s; it is closed and opened again",
                   why);
}

void store_tell_past(struct store *s, int64_t now_ms)
{
    if (outage_is_past(&s->failing, now_ms))
        store_tell(s, LOG_WARN,
                   "the store works again; it had failed %llu times, the last time a minute "
                   "ago",
                   (unsigned long long)s->failing.times);
}

/* ---------------------------------------------------------------- down and up */

static bool has_memory(struct store *s)
{
    list_each (at, &s->streams) {
        if (container_of(at, struct stream, all)->place == DB_MEMORY)
            return true;
    }
    return false;
}

/* Did the batch change what is in memory?  That was rolled back, whatever is in the file. */
static bool touches_memory(struct store *s)
{
    struct batch *b = &s->batch;
    list_each (at, &b->streams) {
        if (container_of(at, struct stream, changed)->place == DB_MEMORY)
            return true;
    }
    list_each (at, &b->consumers) {
        if (container_of(at, struct consumer, dirty)->stream->place == DB_MEMORY)
            return true;
    }
    return b->apply && has_memory(s);
}

/* It may change again what was kept of streams in memory, so that is taken over first. */
static int bring_back_memory(struct store *s, bool kept)
{
    if (!has_memory(s))
        return 0;
    if (s->db.saved && !(kept && touches_memory(s)))
        return db_bring_back(&s->db);
    store_tell(s, LOG_ERROR,
               "what was in streams of durability \"memory\" is lost by the store's failure");
    return store_reload_memory(s);
}

/* A write that is synced, of something that is written anyway. */
static int prove(struct store *s)
{
    if (db_exec(&s->db, "BEGIN IMMEDIATE;"
                        "UPDATE main.tally SET total=total+1 WHERE stream=0 AND topic=1;"
                        "COMMIT") == 0) {
        s->commits_on_disk++;
        return 0;
    }
    if ((s->db.rc & 0xff) != SQLITE_FULL)
        return -1;
    store_rollback(s); /* what needs no room goes on */
    return 0;
}

static void close_connection(struct store *s)
{
    list_each (at, &s->streams)
        stream_forget_statements(container_of(at, struct stream, all));
    db_cut_log(&s->db);
    db_close(&s->db);
    s->down = true;
}

/* How the batch ended is settled as soon as the file can be read, and not again. */
static int come_back(struct store *s, struct err *err)
{
    uint64_t commits = 0;
    char why[sizeof(s->db.why)];
    memcpy(why, s->db.why, sizeof(why)); /* what the ops are to be told */
    if (db_open(&s->db, err))
        return -1;
    bool read = store_read_commits(s, &commits) == 0;
    bool kept = s->undecided && s->batch.file && commits == s->batch.number;
    if (!read || bring_back_memory(s, kept))
        return err_set(err, -1, "%s", s->db.why);
    s->db.page.strict = false;
    memcpy(s->db.why, why, sizeof(why));
    if (s->undecided)
        store_decided(s, kept);
    s->commits_on_disk = commits;
    if (prove(s))
        return err_set(err, -1, "%s", s->db.why);
    return 0;
}

static bool reopen(struct store *s, struct err *err)
{
    bool open = come_back(s, err) == 0;
    s->down = !open;
    if (open) {
        db_forget_saved(&s->db);
        s->retries = 0;
        return true;
    }
    if (s->db.sql)
        close_connection(s);
    s->retry_ms = store_wall_ms() + MIN(RETRY_FIRST_MS << MIN(s->retries, 8u), RETRY_MS);
    s->retries++;
    return false;
}

void store_recover(struct store *s)
{
    struct err err;
    char why[sizeof(s->db.why)];
    memcpy(why, s->db.why, sizeof(why));
    s->failures++;
    store_backup_end(s, "the store has failed");
    if (has_memory(s))
        db_save_memory(&s->db);
    close_connection(s);
    bool open = reopen(s, &err);
    tell_failure(s, why, open ? NULL : &err);
    if (open)
        s->failing.over_ms = store_wall_ms(); /* which was told with it */
}

void store_reopen(struct store *s)
{
    struct err err;
    struct outage *o = &s->failing;
    if (!reopen(s, &err)) {
        tell_failure(s, s->db.why, &err);
        return;
    }
    int64_t now = store_wall_ms();
    if (outage_ends(o, now))
        store_tell(s, LOG_WARN, "the store is open again, after %lld s and %llu failures",
                   seconds(o, now), (unsigned long long)o->times);
}
