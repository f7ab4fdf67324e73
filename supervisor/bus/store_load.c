/* What is on disk becomes what is in memory, at start. */
#include <stdio.h>

#include "bus/store_core.h"

static int corrupt(struct store *s, const char *what)
{
    s->db.rc = SQLITE_CORRUPT;
    snprintf(s->db.why, sizeof(s->db.why), "%s", what);
    return -1;
}

static int load_streams(struct store *s)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt, "SELECT id, name, work, level FROM main.stream ORDER BY id"))
        return -1;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0) {
        enum durability level =
            sqlite3_column_int(stmt, 3) == DURABILITY_OS ? DURABILITY_OS : DURABILITY_FSYNC;
        struct stream *stream =
            stream_new(s, (uint32_t)sqlite3_column_int64(stmt, 0), db_text(stmt, 1), level);
        stream->work = sqlite3_column_int(stmt, 2);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static struct stream *stream_by_id(struct store *s, uint32_t id)
{
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        if (stream->id == id)
            return stream;
    }
    return NULL;
}

static int load_topic(struct store *s, struct stream *stream, sqlite3_stmt *row)
{
    uint64_t id = (uint64_t)sqlite3_column_int64(row, 1);
    if (id > stream->topic_count)
        return corrupt(s, "a topic is missing");
    struct topic *t = id < stream->topic_count ? stream->topics[id]
                                               : stream_add_topic(s, stream, db_text(row, 2));
    t->now = (struct tally){(uint64_t)sqlite3_column_int64(row, 3),
                            (uint64_t)sqlite3_column_int64(row, 4),
                            (uint64_t)sqlite3_column_int64(row, 5)};
    stream->sum.stored += t->now.stored;
    stream->sum.bytes += t->now.bytes;
    return 0;
}

static void load_marks(struct store *s, sqlite3_stmt *row)
{
    struct stream *stream =
        stream_by_id(s, (uint32_t)sqlite3_column_int64(row, 1) - STORE_MARKS);
    if (!stream)
        return;
    stream->removed = (uint64_t)sqlite3_column_int64(row, 3);
    stream->delayed = (uint64_t)sqlite3_column_int64(row, 4);
}

static int load_tallies(struct store *s)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt,
                    "SELECT stream, topic, name, total, stored, bytes FROM main.tally"
                    " ORDER BY stream, topic"))
        return -1;
    int rc;
    struct stream *stream = NULL;
    while ((rc = db_next(&s->db, stmt)) > 0) {
        uint32_t id = (uint32_t)sqlite3_column_int64(stmt, 0);
        if (id == 0 && sqlite3_column_int64(stmt, 1) == 0) {
            s->seq = (uint64_t)sqlite3_column_int64(stmt, 3);
            s->delayed = (uint64_t)sqlite3_column_int64(stmt, 4);
            s->time_ms = sqlite3_column_int64(stmt, 5);
        } else if (id == 0 && sqlite3_column_int64(stmt, 1) > STORE_MARKS)
            load_marks(s, stmt);
        else if (id == 0)
            s->commits_on_disk = (uint64_t)sqlite3_column_int64(stmt, 3);
        else if ((stream && stream->id == id) || (stream = stream_by_id(s, id)))
            rc = load_topic(s, stream, stmt);
        else
            rc = corrupt(s, "a topic has no stream");
        if (rc < 0)
            break;
    }
    sqlite3_finalize(stmt);
    return rc;
}

static void load_patterns(struct consumer *c, struct slice text)
{
    struct slice *patterns = xcalloc(text.len + 1, sizeof(*patterns));
    size_t count = 0;
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        patterns[count++] = (struct slice){text.ptr, len};
        text = slice_from(text, MIN(len + 1, text.len));
    }
    consumer_set_patterns(c, patterns, count);
    xfree(patterns);
}

static int load_consumers(struct store *s)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt,
                    "SELECT id, stream, name, config, patterns, settled, hi, open,"
                    " (SELECT count(*) FROM main.pending WHERE consumer=id)"
                    " FROM main.consumer ORDER BY id"))
        return -1;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0) {
        struct stream *stream = stream_by_id(s, (uint32_t)sqlite3_column_int64(stmt, 1));
        if (!stream) {
            rc = corrupt(s, "a consumer has no stream");
            break;
        }
        struct consumer *c =
            consumer_new(s, stream, (uint32_t)sqlite3_column_int64(stmt, 0), db_text(stmt, 2));
        buf_add(&c->config, db_text(stmt, 3));
        load_patterns(c, db_text(stmt, 4));
        c->settled = sqlite3_column_int64(stmt, 5);
        c->hi = (uint64_t)sqlite3_column_int64(stmt, 6);
        c->put_off = (uint64_t)sqlite3_column_int64(stmt, 8);
        if (!open_decode(c, db_blob(stmt, 7))) {
            rc = corrupt(s, "what a consumer has open cannot be read");
            break;
        }
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int load_ids(struct store *s)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt, "SELECT n, seq, ts, hash FROM main.dedupe ORDER BY n"))
        return -1;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0) {
        struct dedupe_entry e = {.n = (uint64_t)sqlite3_column_int64(stmt, 0),
                                 .seq = (uint64_t)sqlite3_column_int64(stmt, 1),
                                 .time_ms = sqlite3_column_int64(stmt, 2)};
        struct slice hash = db_blob(stmt, 3);
        if (hash.len != sizeof(e.hash)) {
            rc = corrupt(s, "a msgid cannot be read");
            break;
        }
        memcpy(&e.hash, hash.ptr, sizeof(e.hash));
        dedupe_add(&s->dedupe, &e);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* The newest row of each stream is looked at: what a crash may have cut is found here. */
static int load_ends(struct store *s)
{
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        uint64_t first;
        struct message *m = NULL;
        if (stream_edges(s, stream, &first, &stream->last) ||
            (stream->last && row_get(s, stream, stream->last, &m) < 0))
            return -1;
        message_release(m);
        stream->tail.floor = stream->last;
        if (stream->last > s->seq)
            return corrupt(s, "there are messages newer than the newest");
    }
    return 0;
}

static int count_delayed(struct store *s)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt, "SELECT frame FROM main.delayed"))
        return -1;
    list_each (at, &s->streams)
        container_of(at, struct stream, all)->delayed = 0;
    s->delayed = 0;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0) {
        struct message *m = frame_unpack(s, db_blob(stmt, 0));
        struct stream *stream = m ? store_stream(s, m->stream) : NULL;
        if (stream)
            stream->delayed++;
        s->delayed++;
        message_release(m);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Of whom they are is known, unless some were in memory only, or an older nodey wrote this. */
static int load_delayed(struct store *s)
{
    uint64_t known = 0;
    list_each (at, &s->streams)
        known += container_of(at, struct stream, all)->delayed;
    return known == s->delayed ? 0 : count_delayed(s);
}

static int load_due(struct store *s)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DELAYED_NEXT, DB_FILE);
    int rc = stmt ? db_next(&s->db, stmt) : -1;
    s->next_due_ms = INT64_MAX;
    if (rc > 0 && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        s->next_due_ms = sqlite3_column_int64(stmt, 0);
    if (rc >= 0)
        sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static bool blob_known(void *arg, struct slice name)
{
    struct store *s = arg;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_BLOB_GET, DB_FILE);
    if (!stmt)
        return true; /* what cannot be asked about is kept */
    db_bind_text(stmt, 1, name);
    int rc = db_next(&s->db, stmt);
    sqlite3_reset(stmt);
    return rc != 0;
}

int store_load(struct store *s, struct err *err)
{
    if (load_streams(s) || load_tallies(s) || load_consumers(s) || load_due(s))
        return err_set(
            err, -1,
            "%s is damaged where the store's own state is kept (%s); restore a backup, "
            "or move the file away to begin anew",
            s->db.path, s->db.why);
    s->db.page.strict = false; /* messages have sums of their own */
    if (load_ids(s) || load_ends(s) || load_delayed(s))
        return err_set(err, -1, "%s cannot be read: %s", s->db.path, s->db.why);
    blobs_sweep(&s->blobs, blob_known, s);
    return 0;
}

int store_read_commits(struct store *s, uint64_t *commits)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt, "SELECT total FROM main.tally WHERE stream=0 AND topic=1"))
        return -1;
    int rc = db_next(&s->db, stmt);
    if (rc > 0)
        *commits = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* What was in memory only is gone; what is with handlers may still be settled. */
static void forget_messages(struct store *s, struct stream *stream)
{
    for (size_t i = 0; i < stream->topic_count; i++)
        stream->topics[i]->now = stream->topics[i]->saved = (struct tally){0};
    stream->sum = stream->saved = (struct tally){0};
    stream->delayed = stream->saved_delayed = 0;
    tail_drop(&s->tail, &stream->tail);
    stream->tail.floor = stream->last;
    list_each (at, &stream->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        c->put_off = c->saved_put_off = 0;
        c->settled = c->saved_settled = -(int64_t)c->open_count;
        c->hi = c->saved_hi = stream->last;
    }
}

int store_reload_memory(struct store *s)
{
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        if (stream->place == DB_FILE)
            continue;
        forget_messages(s, stream);
        if (stream_create_table(s, stream))
            return -1;
    }
    return 0;
}

void store_unload(struct store *s)
{
    while (!list_empty(&s->streams))
        stream_free(s, list_first(&s->streams, struct stream, all));
    keymap_deinit(&s->stream_names);
    idmap_deinit(&s->consumer_ids);
    dedupe_deinit(&s->dedupe);
}
