/* Messages as rows of their stream's table, and as frames while their time has not come. */
#include "bus/store_core.h"
#include "bus/store_sum.h"

uint64_t row_bytes(const struct message *m)
{
    return m->size + m->headers.len + STORE_ROW_OVERHEAD;
}

/* Over all that a reader gets to see, its stream's and topic's names included. */
static uint64_t sum_of(const struct message *m, struct slice data)
{
    uint64_t numbers[3] = {m->seq, (uint64_t)m->time_ms, m->size};
    uint64_t sum = store_sum(STORE_FORMAT, numbers, sizeof(numbers));
    const struct slice parts[] = {
        m->stream,      m->topic,   m->key,  m->msgid,  m->cause, m->correlation,
        m->traceparent, m->headers, m->only, m->origin, data};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].len)
            sum = store_sum_add(sum + i, parts[i]);
    return sum;
}

int row_insert(struct store *s, struct stream *stream, struct topic *topic, struct message *m,
               struct slice blob)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_INSERT);
    if (!stmt)
        return -1;
    struct slice data = blob.len ? blob : m->data;
    sqlite3_bind_int64(stmt, 1, (int64_t)m->seq);
    sqlite3_bind_int64(stmt, 2, topic->id);
    sqlite3_bind_int64(stmt, 3, m->time_ms);
    sqlite3_bind_int64(stmt, 4, (int64_t)sum_of(m, data));
    sqlite3_bind_int64(stmt, 5, (int64_t)m->size);
    const struct slice texts[] = {m->key,         m->msgid,   m->cause, m->correlation,
                                  m->traceparent, m->headers, m->only,  m->origin};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        db_bind_text(stmt, 6 + (int)i, texts[i]);
    db_bind_blob(stmt, 14, data);
    return db_run(&s->db, stmt);
}

static void tell_damaged(struct store *s, const struct stream *stream, uint64_t seq,
                         const char *what)
{
    s->failures++;
    store_tell(s, LOG_ERROR,
               "message %llu of stream \"" SLICE_FMT "\" is damaged on disk (%s): it is not "
               "served",
               (unsigned long long)seq, SLICE_ARG(stream->name), what);
}

/* With `blob` the data's place for its name; NULL when the file is not what it was. */
static struct message *with_blob(struct store *s, struct stream *stream,
                                 struct message_parts *parts, uint64_t seq, struct slice name)
{
    struct buf path = {0};
    if (!blob_intact(&s->blobs, name, parts->size)) {
        tell_damaged(s, stream, seq, "its data's file");
        return NULL;
    }
    blob_path(&s->blobs, name, &path);
    parts->blob = buf_slice(&path);
    parts->data = (struct slice){0};
    struct message *m = message_new(parts);
    buf_deinit(&path);
    return m;
}

struct message *row_message(struct store *s, struct stream *stream, sqlite3_stmt *row)
{
    uint64_t seq = (uint64_t)sqlite3_column_int64(row, ROW_SEQ);
    uint64_t topic = (uint64_t)sqlite3_column_int64(row, ROW_TOPIC);
    struct slice data = db_blob(row, ROW_DATA);
    struct message_parts parts = {
        .stream = stream->name,
        .key = db_text(row, ROW_KEY),
        .msgid = db_text(row, ROW_KEY + 1),
        .cause = db_text(row, ROW_KEY + 2),
        .correlation = db_text(row, ROW_KEY + 3),
        .traceparent = db_text(row, ROW_KEY + 4),
        .headers = db_text(row, ROW_KEY + 5),
        .only = db_text(row, ROW_ONLY),
        .origin = db_text(row, ROW_ONLY + 1),
        .data = data,
        .size = (uint64_t)sqlite3_column_int64(row, ROW_SIZE),
    };
    if (topic == 0 || topic >= stream->topic_count) {
        tell_damaged(s, stream, seq, "its topic");
        return NULL;
    }
    parts.topic = slice_of(stream->topics[topic]->name);
    struct message *m = message_new(&parts);
    uint64_t size = parts.size;
    m->seq = seq;
    m->time_ms = sqlite3_column_int64(row, ROW_TS);
    m->size = size;
    if (sum_of(m, m->data) != (uint64_t)sqlite3_column_int64(row, ROW_SUM)) {
        tell_damaged(s, stream, seq, "checksum");
        message_release(m);
        return NULL;
    }
    if (data.len == size)
        return m;
    int64_t time_ms = m->time_ms;
    message_release(m);
    m = with_blob(s, stream, &parts, seq, data);
    if (m) {
        m->seq = seq;
        m->time_ms = time_ms;
    }
    return m;
}

int row_get(struct store *s, struct stream *stream, uint64_t seq, struct message **out)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_GET);
    *out = NULL;
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)seq);
    int rc = db_next(&s->db, stmt);
    if (rc <= 0)
        return rc;
    *out = row_message(s, stream, stmt);
    sqlite3_reset(stmt);
    return 1;
}

/* ------------------------------------------------------------------ frames */

enum { FRAME_PARTS = 12 };

static void frame_parts(const struct message *m, struct slice data, struct slice parts[])
{
    const struct slice all[FRAME_PARTS] = {
        m->stream,      m->topic,   m->key,  m->msgid,  m->cause, m->correlation,
        m->traceparent, m->headers, m->only, m->origin, data,     {0}};
    memcpy(parts, all, sizeof(all));
}

/* Their lengths, the parts, and a sum over it all. */
void delayed_write(const struct message *m, struct slice blob, struct buf *out)
{
    struct slice parts[FRAME_PARTS];
    size_t begin = out->len;
    frame_parts(m, blob.len ? blob : m->data, parts);
    buf_append(out, &m->size, sizeof(m->size));
    for (size_t i = 0; i < FRAME_PARTS; i++) {
        uint32_t len = (uint32_t)parts[i].len;
        buf_append(out, &len, sizeof(len));
    }
    for (size_t i = 0; i < FRAME_PARTS; i++)
        buf_add(out, parts[i]);
    uint64_t sum = store_sum(STORE_FORMAT, out->ptr + begin, out->len - begin);
    buf_append(out, &sum, sizeof(sum));
}

static bool frame_cut(struct slice frame, struct slice parts[], uint64_t *size)
{
    size_t head = sizeof(uint64_t) + FRAME_PARTS * sizeof(uint32_t);
    uint64_t sum;
    if (frame.len < head + sizeof(sum))
        return false;
    frame.len -= sizeof(sum);
    memcpy(&sum, frame.ptr + frame.len, sizeof(sum));
    if (store_sum(STORE_FORMAT, frame.ptr, frame.len) != sum)
        return false;
    memcpy(size, frame.ptr, sizeof(*size));
    struct slice rest = slice_from(frame, head);
    for (size_t i = 0; i < FRAME_PARTS; i++) {
        uint32_t len;
        memcpy(&len, frame.ptr + sizeof(uint64_t) + i * sizeof(len), sizeof(len));
        if (len > rest.len)
            return false;
        parts[i] = (struct slice){rest.ptr, len};
        rest = slice_from(rest, len);
    }
    return true;
}

struct message *frame_unpack(struct store *s, struct slice frame)
{
    struct slice p[FRAME_PARTS];
    uint64_t size;
    if (!frame_cut(frame, p, &size))
        return NULL;
    struct message_parts parts = {
        .stream = p[0],
        .topic = p[1],
        .key = p[2],
        .msgid = p[3],
        .cause = p[4],
        .correlation = p[5],
        .traceparent = p[6],
        .headers = p[7],
        .only = p[8],
        .origin = p[9],
        .data = p[10],
        .size = size,
    };
    if (parts.data.len == size)
        return message_new(&parts);
    struct buf path = {0};
    if (!blob_intact(&s->blobs, parts.data, size))
        return NULL;
    blob_path(&s->blobs, parts.data, &path);
    parts.blob = buf_slice(&path);
    parts.data = (struct slice){0};
    struct message *m = message_new(&parts);
    buf_deinit(&path);
    return m;
}
