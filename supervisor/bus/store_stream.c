/* Streams, their topics, and how much there is of each. */
#include <stdio.h>

#include "bus/store_core.h"

static const char *const STATEMENTS[STREAM_STATEMENTS] = {
    [STREAM_INSERT] = "INSERT INTO %s.msg_%u(" ROW_COLUMNS ")"
                      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STREAM_GET] = "SELECT " ROW_COLUMNS " FROM %s.msg_%u WHERE seq=?",
    [STREAM_AFTER] = "SELECT " ROW_COLUMNS " FROM %s.msg_%u WHERE seq>? ORDER BY seq",
    [STREAM_BEFORE] = "SELECT " ROW_COLUMNS " FROM %s.msg_%u WHERE seq<? ORDER BY seq DESC",
    [STREAM_DELETE] = "DELETE FROM %s.msg_%u WHERE seq=?",
    [STREAM_EDGES] = "SELECT min(seq), 0 FROM %1$s.msg_%2$u"
                     " UNION ALL SELECT max(seq), 1 FROM %1$s.msg_%2$u",
    [STREAM_HEAD] = "SELECT seq, ts, topic FROM %s.msg_%u WHERE seq>=? ORDER BY seq",
    [STREAM_COUNT] = "SELECT topic, only_for FROM %s.msg_%u WHERE seq>=? AND seq<?",
    [STREAM_OLDEST] = "SELECT seq, topic, ts, size, coalesce(length(CAST(headers AS BLOB)), 0),"
                      " only_for IS NOT NULL, CASE WHEN length(data)<>size THEN data END"
                      " FROM %s.msg_%u ORDER BY seq",
    [STREAM_CUT] = "DELETE FROM %s.msg_%u WHERE seq<=?",
};

sqlite3_stmt *stream_statement(struct store *s, struct stream *stream,
                               enum stream_statement which)
{
    if (stream->sql[which])
        return stream->sql[which];
    char sql[640];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof(sql), STATEMENTS[which], db_schema(stream->place), stream->id);
#pragma GCC diagnostic pop
    return db_prepare(&s->db, &stream->sql[which], "%s", sql);
}

void stream_forget_statements(struct stream *stream)
{
    for (size_t i = 0; i < STREAM_STATEMENTS; i++) {
        sqlite3_finalize(stream->sql[i]);
        stream->sql[i] = NULL;
    }
}

struct stream *store_stream(struct store *s, struct slice name)
{
    uint64_t hash = siphash(&s->hash_key, name);
    for (struct keymap_node *n = keymap_find(&s->stream_names, hash); n; n = keymap_next(n)) {
        struct stream *stream = container_of(n, struct stream, node);
        if (slice_eq(stream->name, name))
            return stream;
    }
    return NULL;
}

struct stream *stream_new(struct store *s, uint32_t id, struct slice name,
                          enum durability durability)
{
    struct stream *stream = xcalloc(1, sizeof(*stream));
    stream->id = id;
    stream->name = (struct slice){xstrndup(name.ptr, name.len), name.len};
    stream->durability = durability;
    stream->place = durability == DURABILITY_MEMORY ? DB_MEMORY : DB_FILE;
    stream->max_bytes = UINT64_MAX;
    list_init(&stream->consumers);
    list_init(&stream->changed);
    list_add(&s->streams, &stream->all);
    keymap_add(&s->stream_names, &stream->node, siphash(&s->hash_key, name));
    stream_add_topic(s, stream, SLICE(""));
    s->last_stream = MAX(s->last_stream, id);
    return stream;
}

static void topic_free(struct stream *stream, struct topic *t)
{
    if (t->id)
        keymap_remove(&stream->by_name, &t->node);
    list_del(&t->dirty);
    xfree(t->name);
    xfree(t);
}

void stream_free(struct store *s, struct stream *stream)
{
    while (!list_empty(&stream->consumers))
        consumer_free(s, list_first(&stream->consumers, struct consumer, node));
    while (stream->topic_count)
        topic_free(stream, stream->topics[--stream->topic_count]);
    xfree(stream->topics);
    keymap_deinit(&stream->by_name);
    stream_forget_statements(stream);
    tail_drop(&s->tail, &stream->tail);
    keymap_remove(&s->stream_names, &stream->node);
    list_del(&stream->all);
    list_del(&stream->changed);
    xfree((char *)stream->name.ptr);
    xfree(stream);
}

struct topic *stream_add_topic(struct store *s, struct stream *stream, struct slice name)
{
    struct topic *t = xcalloc(1, sizeof(*t));
    t->stream = stream;
    t->id = (uint32_t)stream->topic_count;
    t->name = xstrndup(name.ptr, name.len);
    list_init(&t->dirty);
    if (stream->topic_count == stream->topic_cap) {
        stream->topic_cap = stream->topic_cap ? 2 * stream->topic_cap : 8;
        stream->topics = xrealloc(stream->topics, stream->topic_cap * sizeof(struct topic *));
    }
    stream->topics[stream->topic_count++] = t;
    if (t->id)
        keymap_add(&stream->by_name, &t->node, siphash(&s->hash_key, name));
    return t;
}

struct topic *stream_topic(struct store *s, struct stream *stream, struct slice name)
{
    uint64_t hash = siphash(&s->hash_key, name);
    for (struct keymap_node *n = keymap_find(&stream->by_name, hash); n; n = keymap_next(n)) {
        struct topic *t = container_of(n, struct topic, node);
        if (slice_is(name, t->name))
            return t;
    }
    if (stream->topic_count > STORE_TOPICS_MAX)
        return NULL;
    stream_touch(s, stream);
    struct topic *t = stream_add_topic(s, stream, name);
    topic_touch(s, t);
    return t;
}

void stream_touch(struct store *s, struct stream *stream)
{
    if (!list_empty(&stream->changed))
        return;
    stream->saved = stream->sum;
    stream->saved_last = stream->last;
    stream->saved_removed = stream->removed;
    stream->saved_delayed = stream->delayed;
    stream->saved_topics = stream->topic_count;
    list_add(&s->batch.streams, &stream->changed);
}

void topic_touch(struct store *s, struct topic *t)
{
    stream_touch(s, t->stream);
    if (!list_empty(&t->dirty))
        return;
    t->saved = t->now;
    list_add(&s->batch.topics, &t->dirty);
}

/* As before the batch, with no more topics than then. */
void stream_undo(struct stream *stream)
{
    stream->sum = stream->saved;
    stream->last = stream->saved_last;
    stream->removed = stream->saved_removed;
    stream->delayed = stream->saved_delayed;
    while (stream->topic_count > stream->saved_topics)
        topic_free(stream, stream->topics[--stream->topic_count]);
    list_each (at, &stream->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        c->takes_count = MIN(c->takes_count, stream->topic_count);
    }
}

int stream_at_time(struct store *s, struct stream *stream, int64_t time_ms, uint64_t *seq)
{
    uint64_t low = 1, high = stream->last + 1; /* the answer is in [low, high] */
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_HEAD);
    while (stmt && low < high) {
        uint64_t mid = low + (high - low) / 2;
        sqlite3_bind_int64(stmt, 1, (int64_t)mid);
        int rc = db_next(&s->db, stmt);
        if (rc < 0)
            return rc;
        uint64_t found = rc ? (uint64_t)sqlite3_column_int64(stmt, 0) : high;
        bool older = rc && sqlite3_column_int64(stmt, 1) < time_ms;
        sqlite3_reset(stmt);
        if (older)
            low = found + 1;
        else
            high = mid;
    }
    *seq = low;
    return stmt ? 0 : -1;
}

int stream_create_table(struct store *s, struct stream *stream)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "CREATE TABLE %s.msg_%u(seq INTEGER PRIMARY KEY, topic INT NOT NULL,"
             " ts INT NOT NULL, sum INT NOT NULL, size INT NOT NULL, key TEXT, id TEXT,"
             " cause TEXT, correlation TEXT, trace TEXT, headers TEXT, only_for TEXT,"
             " origin TEXT, data BLOB NOT NULL) STRICT",
             db_schema(stream->place), stream->id);
    return db_exec(&s->db, sql);
}

static int write_stream(struct store *s, struct slice name, uint32_t id,
                        const struct op_stream *op)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt,
                    "INSERT INTO main.stream VALUES(?,?,?,?) ON CONFLICT(id) DO UPDATE"
                    " SET work=excluded.work, level=excluded.level"))
        return -1;
    sqlite3_bind_int64(stmt, 1, id);
    db_bind_text(stmt, 2, name);
    sqlite3_bind_int(stmt, 3, op->work);
    sqlite3_bind_int(stmt, 4, (int)op->durability);
    int rc = db_run(&s->db, stmt);
    sqlite3_finalize(stmt);
    return rc;
}

static void take_limits(struct stream *stream, const struct op_stream *op)
{
    stream->work = op->work;
    stream->durability = op->durability;
    stream->max_bytes = op->max_bytes ? op->max_bytes : UINT64_MAX;
    stream->max_age = op->max_age;
    stream->discard_old = op->discard_old;
    stream->dedupe_window = op->dedupe_window;
    stream->declared = true;
}

struct stream_change {
    struct stream *stream;
    struct op_stream *op;
    bool created;
};

static void stream_declared(struct store *s, void *arg, bool ok)
{
    struct stream_change *change = arg;
    if (ok)
        take_limits(change->stream, change->op);
    else if (change->created)
        stream_free(s, change->stream);
    xfree(change);
}

static struct stream_change *change_new(struct store *s, struct op_stream *op,
                                        struct stream *stream, bool created)
{
    struct stream_change *change = xmalloc(sizeof(*change));
    *change = (struct stream_change){stream, op, created};
    s->batch.apply = stream_declared;
    s->batch.change = change;
    return change;
}

static int create_stream(struct store *s, struct op_stream *op)
{
    if (op->name.len == 0 || op->name.len > MESSAGE_ID_MAX) {
        store_refuse(&op->op, ENGINE_INVALID, "a stream's name has 1 to %d bytes",
                     MESSAGE_ID_MAX);
        return 0;
    }
    struct stream *stream = stream_new(s, s->last_stream + 1, op->name, op->durability);
    change_new(s, op, stream, true);
    int rc = batch_begin(s, stream);
    if (rc == 0)
        rc = stream_create_table(s, stream);
    if (rc == 0 && stream->place == DB_FILE)
        rc = write_stream(s, stream->name, stream->id, op);
    return rc;
}

int store_do_stream(struct store *s, struct op_stream *op)
{
    struct stream *stream = store_stream(s, op->name);
    if (!stream)
        return create_stream(s, op);
    if ((op->durability == DURABILITY_MEMORY) != (stream->place == DB_MEMORY)) {
        store_refuse(&op->op, ENGINE_INVALID,
                     "stream \"" SLICE_FMT "\" is kept %s: drop it before it is kept %s",
                     SLICE_ARG(op->name), stream->place == DB_MEMORY ? "in memory" : "on disk",
                     stream->place == DB_MEMORY ? "on disk" : "in memory");
        return 0;
    }
    change_new(s, op, stream, false);
    if (stream->place == DB_MEMORY ||
        (stream->work == op->work && stream->durability == op->durability))
        return 0;
    int rc = batch_begin(s, stream);
    return rc ? rc : write_stream(s, stream->name, stream->id, op);
}

/* ------------------------------------------------------------------- drop */

static void stream_dropped(struct store *s, void *arg, bool ok)
{
    if (ok)
        stream_free(s, arg);
}

static int doom_blobs(struct store *s, const struct stream *stream)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt,
                    "SELECT data FROM %s.msg_%u WHERE size>%d AND length(data)<%d",
                    db_schema(stream->place), stream->id, MESSAGE_INLINE_MAX, BLOB_NAME))
        return -1;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0)
        if ((rc = store_doom_blob(s, db_blob(stmt, 0))) < 0)
            break;
    sqlite3_finalize(stmt);
    return rc;
}

int store_drop_stream(struct store *s, struct op_drop *op)
{
    struct stream *stream = store_stream(s, op->stream);
    if (!stream) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no stream \"" SLICE_FMT "\"",
                     SLICE_ARG(op->stream));
        return 0;
    }
    int rc = batch_begin(s, stream);
    if (rc == 0)
        rc = doom_blobs(s, stream);
    stream_forget_statements(stream); /* a table in use cannot be dropped */
    char sql[640];
    const char *schema = db_schema(stream->place);
    snprintf(sql, sizeof(sql), "DROP TABLE %s.msg_%u; DELETE FROM %s.tally WHERE stream=%u",
             schema, stream->id, schema, stream->id);
    if (rc == 0)
        rc = db_exec(&s->db, sql);
    snprintf(sql, sizeof(sql),
             "DELETE FROM main.pending WHERE consumer IN"
             " (SELECT id FROM main.consumer WHERE stream=%u);"
             "DELETE FROM main.consumer WHERE stream=%u; DELETE FROM main.stream WHERE id=%u;"
             "DELETE FROM main.tally WHERE stream=0 AND topic=%u",
             stream->id, stream->id, stream->id, stream->id + STORE_MARKS);
    if (rc == 0 && stream->place == DB_FILE)
        rc = db_exec(&s->db, sql);
    s->batch.apply = stream_dropped;
    s->batch.change = stream;
    return rc;
}
