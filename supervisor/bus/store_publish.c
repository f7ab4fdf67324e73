/* Messages in: checked, deduplicated, given their number, and stored or put off. */
#include <errno.h>
#include <stdio.h>

#include "bus/store_core.h"

static struct slice blob_name_of(const struct message *m)
{
    const char *slash = m->blob.len ? memrchr(m->blob.ptr, '/', m->blob.len) : NULL;
    return slash ? slice_from(m->blob, (size_t)(slash + 1 - m->blob.ptr)) : (struct slice){0};
}

static int keep_name(struct store *s, struct slice blob)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_BLOB_PUT, DB_FILE);
    if (!stmt)
        return -1;
    db_bind_text(stmt, 1, blob);
    return db_run(&s->db, stmt);
}

/* What is too big for a row goes to a file of its own, unless it is there already. */
static int data_aside(struct store *s, const struct stream *stream, const struct message *m,
                      uint64_t number, char name[BLOB_NAME], struct slice *out)
{
    *out = blob_name_of(m);
    if (out->len || m->size <= MESSAGE_INLINE_MAX || stream->place == DB_MEMORY)
        return 0;
    int rc = blob_write(&s->blobs, &s->batch.blobs, number, m->data, name);
    *out = slice_of(name);
    if (rc == 0)
        return keep_name(s, *out);
    s->db.rc = rc == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR;
    snprintf(s->db.why, sizeof(s->db.why), "a file of data cannot be written: %s",
             strerror(-rc));
    return -1;
}

/* As readers get it: with its data's file in place of the data. */
static struct message *as_stored(struct store *s, struct message *m, struct slice blob)
{
    if (!blob.len || m->blob.len)
        return message_hold(m);
    struct buf path = {0};
    blob_path(&s->blobs, blob, &path);
    struct message *stored = message_new(&(struct message_parts){
        .stream = m->stream,
        .topic = m->topic,
        .key = m->key,
        .msgid = m->msgid,
        .cause = m->cause,
        .correlation = m->correlation,
        .traceparent = m->traceparent,
        .headers = m->headers,
        .only = m->only,
        .origin = m->origin,
        .blob = buf_slice(&path),
        .size = m->size,
    });
    buf_deinit(&path);
    stored->seq = m->seq;
    stored->time_ms = m->time_ms;
    return stored;
}

static void add_fresh(struct store *s, struct stream *stream, struct message *held,
                      uint32_t topic)
{
    struct batch *b = &s->batch;
    if (b->fresh_count == b->fresh_cap) {
        b->fresh_cap = b->fresh_cap ? 2 * b->fresh_cap : 64;
        b->fresh = xrealloc(b->fresh, b->fresh_cap * sizeof(*b->fresh));
    }
    b->fresh[b->fresh_count++] = (struct fresh){held, stream, topic};
}

static struct consumer *only_consumer(const struct stream *stream, struct slice only)
{
    list_each (at, &stream->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        if (slice_eq(c->name, only))
            return c;
    }
    return NULL;
}

/* What is for one group only is not counted with its topic, but with the group. */
static void count_in(struct store *s, struct stream *stream, struct topic *topic,
                     const struct message *m)
{
    struct topic *counted = m->only.len ? stream->topics[0] : topic;
    topic_touch(s, counted);
    counted->now.total++;
    counted->now.stored++;
    counted->now.bytes += row_bytes(m);
    stream->sum.stored++;
    stream->sum.bytes += row_bytes(m);
    struct consumer *c = m->only.len ? only_consumer(stream, m->only) : NULL;
    if (c && consumer_takes(c, topic->id)) {
        consumer_touch(s, c);
        c->settled--;
    }
}

static int store_now(struct store *s, struct stream *stream, struct topic *topic,
                     struct message *m)
{
    char name[BLOB_NAME];
    struct slice blob;
    m->seq = s->seq + 1;
    m->time_ms = s->time_ms;
    if (data_aside(s, stream, m, m->seq, name, &blob) || row_insert(s, stream, topic, m, blob))
        return -1;
    s->seq = m->seq;
    topic_touch(s, topic);
    stream->last = m->seq;
    count_in(s, stream, topic, m);
    add_fresh(s, stream, as_stored(s, m, blob), topic->id);
    store_fault(s, FAULT_AFTER_INSERT);
    return 0;
}

/* It has a number, which is not its seq: that it gets when its time has come. */
static int store_later(struct store *s, struct stream *stream, struct message *m, uint64_t n)
{
    char name[BLOB_NAME];
    struct slice blob;
    struct buf frame = {0};
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DELAYED_PUT, stream->place);
    if (!stmt || data_aside(s, stream, m, n, name, &blob))
        return -1;
    delayed_write(m, blob, &frame);
    sqlite3_bind_int64(stmt, 1, m->due_ms);
    sqlite3_bind_int64(stmt, 2, (int64_t)n);
    db_bind_blob(stmt, 3, buf_slice(&frame));
    int rc = db_run(&s->db, stmt);
    buf_deinit(&frame);
    stream_touch(s, stream);
    stream->delayed++;
    s->delayed++;
    s->next_due_ms = MIN(s->next_due_ms, m->due_ms);
    return rc;
}

static int remember_id(struct store *s, struct stream *stream, const struct message *m,
                       const struct dedupe_hash *hash, uint64_t n)
{
    dedupe_add(&s->dedupe, &(struct dedupe_entry){*hash, n, m->seq, s->time_ms});
    if (stream->place == DB_MEMORY)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DEDUPE_PUT, DB_FILE);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)n);
    sqlite3_bind_int64(stmt, 2, (int64_t)m->seq);
    sqlite3_bind_int64(stmt, 3, s->time_ms);
    db_bind_blob(stmt, 4, (struct slice){(const char *)hash, sizeof(*hash)});
    return db_run(&s->db, stmt);
}

static int insert_one(struct store *s, struct stream *stream, struct message *m)
{
    struct dedupe_hash hash;
    bool tracked = m->msgid.len && stream->dedupe_window;
    m->duplicate = false;
    m->seq = 0;
    if (tracked) {
        hash = dedupe_hash(stream->name, m->msgid);
        const struct dedupe_entry *first = dedupe_find(
            &s->dedupe, &hash, s->time_ms - (int64_t)MIN(stream->dedupe_window, INT64_MAX / 2));
        if (first) {
            m->duplicate = true;
            m->seq = first->seq;
            m->time_ms = first->time_ms;
            return 0;
        }
    }
    uint64_t n = s->seq + 1;
    if (m->due_ms > s->time_ms) {
        s->seq = n;
        m->time_ms = s->time_ms;
        if (store_later(s, stream, m, n))
            return -1;
    } else if (store_now(s, stream, stream_topic(s, stream, m->topic), m))
        return -1;
    return tracked ? remember_id(s, stream, m, &hash, n) : 0;
}

/* Is there something wrong with it that no retry mends? */
static struct stream *check_one(struct store *s, struct op *op, const struct message *m)
{
    struct stream *stream = store_stream(s, m->stream);
    if (!stream)
        store_refuse(op, ENGINE_UNKNOWN, "there is no stream \"" SLICE_FMT "\"",
                     SLICE_ARG(m->stream));
    else if (m->size > MESSAGE_DATA_MAX)
        store_refuse(op, ENGINE_INVALID, "%llu bytes of data are too many, at most %d",
                     (unsigned long long)m->size, MESSAGE_DATA_MAX);
    else if (!stream_topic(s, stream, m->topic))
        store_refuse(op, ENGINE_INVALID,
                     "stream \"" SLICE_FMT
                     "\" has %d topics, and no more are possible: what is "
                     "different for each message belongs into its key",
                     SLICE_ARG(stream->name), STORE_TOPICS_MAX);
    return op->status == ENGINE_OK ? stream : NULL;
}

/* Room in each stream for what this op brings to it. */
static int check_room(struct store *s, struct op *op, struct message **messages, size_t count,
                      size_t at, struct stream *stream)
{
    uint64_t bytes = 0;
    bool made = true;
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq(messages[i]->stream, stream->name))
            continue;
        if (i < at)
            return 0; /* was checked with that one */
        bytes += row_bytes(messages[i]);
    }
    int rc = stream_make_room(s, stream, bytes, &made);
    if (rc == 0 && !made)
        store_refuse(op, ENGINE_FULL,
                     "stream \"" SLICE_FMT "\" is full: %llu of %llu bytes wait to be read",
                     SLICE_ARG(stream->name), (unsigned long long)stream->sum.bytes,
                     (unsigned long long)stream->max_bytes);
    return rc;
}

int store_insert_all(struct store *s, struct op *op, struct message **messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = store_stream(s, messages[i]->stream);
        if (stream && batch_begin(s, stream))
            return -1;
        stream = check_one(s, op, messages[i]);
        if (!stream)
            return 0;
        if (stream->max_bytes != UINT64_MAX && check_room(s, op, messages, count, i, stream))
            return -1;
        if (op->status != ENGINE_OK)
            return 0;
    }
    for (size_t i = 0; i < count; i++)
        if (insert_one(s, store_stream(s, messages[i]->stream), messages[i]))
            return -1;
    return 0;
}

/* -------------------------------------------------------------------- forget */

static void count_out(struct store *s, struct stream *stream, struct topic *topic,
                      const struct message *m)
{
    struct topic *counted = m->only.len ? stream->topics[0] : topic;
    topic_touch(s, counted);
    counted->now.stored -= MIN(counted->now.stored, 1);
    counted->now.bytes -= MIN(counted->now.bytes, row_bytes(m));
    stream->sum.stored -= MIN(stream->sum.stored, 1);
    stream->sum.bytes -= MIN(stream->sum.bytes, row_bytes(m));
}

static void add_stale(struct store *s, struct stream *stream, uint64_t seq)
{
    struct batch *b = &s->batch;
    if (b->stale_count == b->stale_cap) {
        b->stale_cap = b->stale_cap ? 2 * b->stale_cap : 64;
        b->stale = xrealloc(b->stale, b->stale_cap * sizeof(*b->stale));
    }
    b->stale[b->stale_count++] = (struct stale){stream, seq};
}

int stream_delete(struct store *s, struct stream *stream, uint64_t seq, bool *found)
{
    struct message *m = tail_get(&stream->tail, seq);
    struct message *read = NULL;
    if (!m) {
        if (row_get(s, stream, seq, &read) < 0)
            return -1;
        m = read;
    }
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_DELETE);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)seq);
    int rc = db_run(&s->db, stmt);
    *found = sqlite3_changes(s->db.sql) > 0;
    if (rc == 0 && *found)
        add_stale(s, stream, seq);
    if (rc == 0 && *found && m) {
        count_out(s, stream, stream_topic(s, stream, m->topic), m);
        rc = store_doom_blob(s, blob_name_of(m));
    }
    message_release(read);
    return rc;
}

/* Where it is; NULL when it is nowhere.  `m` is NULL also when it is damaged. */
static int locate(struct store *s, uint64_t seq, struct stream **where, struct message **m)
{
    *where = NULL;
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        int rc = row_get(s, stream, seq, m);
        if (rc < 0)
            return rc;
        if (rc > 0) {
            *where = stream;
            return 0;
        }
    }
    return 0;
}

static int forget(struct store *s, struct stream *stream, uint64_t seq, struct message *m)
{
    bool found;
    if (batch_begin(s, stream) || stream_delete(s, stream, seq, &found))
        return -1;
    int rc = 0;
    for (struct list *at = stream->consumers.next; m && rc == 0 && at != &stream->consumers;
         at = at->next)
        rc = consumer_forgets(s, container_of(at, struct consumer, node), m);
    return rc;
}

int store_do_publish(struct store *s, struct op_publish *op)
{
    struct stream *where = NULL;
    struct message *m = NULL;
    if (op->count && s->room.gone) {
        store_refuse(&op->op, ENGINE_BROKEN, "the store's folder was removed");
        return 0;
    }
    if (op->count && (s->batch.refuse || s->room.full)) {
        store_refuse(&op->op, ENGINE_FULL, "the disk is nearly full: %llu MiB are free",
                     (unsigned long long)(s->room.free >> 20));
        return 0;
    }
    if (op->forget && locate(s, op->forget, &where, &m))
        return -1;
    if (op->forget && !where) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no message %llu",
                     (unsigned long long)op->forget);
        return 0;
    }
    int rc = store_insert_all(s, &op->op, op->messages, op->count);
    if (rc == 0 && where && op->op.status == ENGINE_OK)
        rc = forget(s, where, op->forget, m);
    message_release(m);
    return rc;
}

/* ----------------------------------------------------------------------- due */

static int one_is_due(struct store *s, enum db_place place, sqlite3_stmt *row, bool *stored)
{
    struct message *m = frame_unpack(s, db_blob(row, 2));
    struct stream *stream = m ? store_stream(s, m->stream) : NULL;
    struct topic *topic = stream ? stream_topic(s, stream, m->topic) : NULL;
    bool room = true;
    int rc = 0;
    *stored = true;
    if (!m)
        store_tell(s, LOG_ERROR, "a delayed message is damaged on disk: it is dropped");
    else if (!topic)
        store_tell(s, LOG_WARN,
                   "a delayed message of stream \"" SLICE_FMT "\" has no place any more",
                   SLICE_ARG(m->stream));
    if (m && !topic)
        rc = store_doom_blob(s, blob_name_of(m));
    if (topic) {
        rc = stream_make_room(s, stream, row_bytes(m), &room);
        if (rc == 0 && room)
            rc = store_now(s, stream, topic, m);
        *stored = room;
    }
    message_release(m);
    if (rc || !*stored)
        return rc;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DELAYED_DELETE, place);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, sqlite3_column_int64(row, 0));
    sqlite3_bind_int64(stmt, 2, sqlite3_column_int64(row, 1));
    s->delayed -= MIN(s->delayed, 1);
    if (stream) {
        stream_touch(s, stream);
        stream->delayed -= MIN(stream->delayed, 1);
    }
    return db_run(&s->db, stmt);
}

static int due_of(struct store *s, enum db_place place, int64_t now_ms, unsigned most)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DELAYED_DUE, place);
    bool stored = true;
    int rc = -1;
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, now_ms);
    while (most-- && stored && (rc = db_next(&s->db, stmt)) > 0 &&
           (rc = one_is_due(s, place, stmt, &stored)) == 0) {
    }
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static int find_next_due(struct store *s)
{
    s->next_due_ms = INT64_MAX;
    for (unsigned place = 0; place < DB_PLACES; place++) {
        sqlite3_stmt *stmt = fixed_statement(s, FIXED_DELAYED_NEXT, place);
        int rc = stmt ? db_next(&s->db, stmt) : -1;
        if (rc < 0)
            return rc;
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
            s->next_due_ms = MIN(s->next_due_ms, sqlite3_column_int64(stmt, 0));
        sqlite3_reset(stmt);
    }
    return 0;
}

int store_do_due(struct store *s, int64_t now_ms)
{
    uint64_t before = s->delayed;
    for (unsigned place = 0; place < DB_PLACES; place++)
        if (due_of(s, place, now_ms, 1000))
            return -1;
    if (find_next_due(s))
        return -1;
    if (before == s->delayed && s->next_due_ms <= now_ms)
        s->next_due_ms = now_ms + 1000; /* there was no room */
    return 0;
}
