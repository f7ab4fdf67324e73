/* What nobody needs any more goes: by age, for room, and at last from the file's size. */
#include "bus/store_core.h"

/* The oldest rows of a stream that are to go. */
struct cut {
    uint64_t below; /* seqs */
    int64_t before; /* time */
    uint64_t bytes; /* no more than are needed */
    unsigned rows;  /* at most */
    uint64_t last;  /* filled in: the newest that went; 0 = none */
    unsigned gone;
};

/* All that is below was settled by all. */
static int floor_of(struct store *s, struct stream *stream, uint64_t *floor)
{
    *floor = UINT64_MAX;
    list_each (at, &stream->consumers) {
        uint64_t seq;
        if (consumer_floor(s, container_of(at, struct consumer, node), &seq))
            return -1;
        *floor = MIN(*floor, seq);
    }
    return 0;
}

static int count_row_out(struct store *s, struct stream *stream, sqlite3_stmt *row)
{
    uint64_t id = (uint64_t)sqlite3_column_int64(row, 1);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(row, 3) +
                     (uint64_t)sqlite3_column_int64(row, 4) + STORE_ROW_OVERHEAD;
    struct slice blob = db_blob(row, 6);
    bool only = sqlite3_column_int(row, 5);
    int rc = store_doom_blob(s, blob);
    stream->sum.stored -= MIN(stream->sum.stored, 1);
    stream->sum.bytes -= MIN(stream->sum.bytes, bytes);
    if (id >= stream->topic_count)
        return rc; /* of a damaged row */
    struct topic *t = stream->topics[only ? 0 : id];
    topic_touch(s, t);
    t->now.stored -= MIN(t->now.stored, 1);
    t->now.bytes -= MIN(t->now.bytes, bytes);
    return rc;
}

/* Counts what is to go, then deletes it as one range. */
static int cut_head(struct store *s, struct stream *stream, struct cut *cut)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_OLDEST);
    uint64_t bytes_before = stream->sum.bytes;
    if (!stmt || batch_begin(s, stream))
        return -1;
    stream_touch(s, stream);
    int rc = 0;
    while (cut->gone < cut->rows && bytes_before - stream->sum.bytes < cut->bytes &&
           (rc = db_next(&s->db, stmt)) > 0) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        if (seq >= cut->below || sqlite3_column_int64(stmt, 2) >= cut->before)
            break;
        if ((rc = count_row_out(s, stream, stmt)) < 0)
            break;
        cut->last = seq;
        cut->gone++;
    }
    sqlite3_reset(stmt);
    if (rc < 0 || !cut->gone)
        return rc < 0 ? rc : 0;
    if (!stream->work)
        stream->removed = MAX(stream->removed, cut->last);
    store_fault(s, FAULT_MID_SWEEP);
    stmt = stream_statement(s, stream, STREAM_CUT);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)cut->last);
    return db_run(&s->db, stmt);
}

/* Those that were not settled count as settled: they are lost, and it is told. */
static int consumer_loses(struct store *s, struct consumer *c, uint64_t first, uint64_t last)
{
    uint64_t lost = 0, from = MIN(first, last);
    sqlite3_stmt *cut = fixed_statement(s, FIXED_PENDING_CUT, c->stream->place);
    if (!cut)
        return -1;
    consumer_touch(s, c);
    for (size_t i = 0; i < c->open_count && c->open[i] >> 1 <= last; i++)
        lost += open_settle(c, c->open[i] >> 1);
    sqlite3_bind_int64(cut, 1, c->id);
    sqlite3_bind_int64(cut, 2, 0);
    sqlite3_bind_int64(cut, 3, (int64_t)last);
    if (db_run(&s->db, cut))
        return -1;
    uint64_t pending = (uint64_t)sqlite3_changes(s->db.sql);
    c->put_off -= MIN(c->put_off, pending);
    lost += pending;
    if (c->hi < last) {
        uint64_t ahead;
        if (consumer_count(s, c, MAX(c->hi + 1, first), last + 1, &ahead))
            return -1;
        lost += ahead;
        c->hi = last;
    }
    c->settled += (int64_t)lost;
    if (lost)
        parcel_gap(s->batch.parcel, c->id, from, last);
    return 0;
}

/* The newest of what has to go for so many bytes. */
static int find_last(struct store *s, struct stream *stream, uint64_t bytes, uint64_t *first,
                     uint64_t *last)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_OLDEST);
    uint64_t sum = 0;
    *first = *last = 0;
    if (!stmt)
        return -1;
    int rc = 0;
    while (sum < bytes && (rc = db_next(&s->db, stmt)) > 0) {
        *last = (uint64_t)sqlite3_column_int64(stmt, 0);
        *first = *first ? *first : *last;
        sum += (uint64_t)sqlite3_column_int64(stmt, 3) +
               (uint64_t)sqlite3_column_int64(stmt, 4) + STORE_ROW_OVERHEAD;
    }
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static int discard(struct store *s, struct stream *stream, uint64_t bytes)
{
    uint64_t first, last;
    if (batch_begin(s, stream) || find_last(s, stream, bytes, &first, &last))
        return -1;
    list_each (at, &stream->consumers) {
        struct consumer *c = container_of(at, struct consumer, node);
        uint64_t floor;
        if (consumer_floor(s, c, &floor) ||
            (last >= floor && consumer_loses(s, c, first, last)))
            return -1;
    }
    return cut_head(s, stream,
                    &(struct cut){last + 1, INT64_MAX, UINT64_MAX, UINT32_MAX, 0, 0});
}

/* A little more than is needed goes at once, so that this is not done for each message. */
int stream_make_room(struct store *s, struct stream *stream, uint64_t bytes, bool *made)
{
    uint64_t most = stream->max_bytes, floor;
    *made = bytes <= most && stream->sum.bytes <= most - bytes;
    if (*made || bytes > most)
        return 0;
    uint64_t spare = MIN(most / 64, most - bytes);
    uint64_t wanted = stream->sum.bytes + bytes + spare - most;
    if (floor_of(s, stream, &floor) ||
        cut_head(s, stream, &(struct cut){floor, INT64_MAX, wanted, STORE_BATCH_OPS, 0, 0}))
        return -1;
    *made = stream->sum.bytes <= most - bytes;
    if (*made || !stream->discard_old)
        return 0;
    *made = true;
    return discard(s, stream, stream->sum.bytes + bytes - most);
}

static int sweep_stream(struct store *s, struct stream *stream, int64_t now_ms)
{
    struct cut cut = {.before = INT64_MAX, .bytes = UINT64_MAX, .rows = STORE_SWEEP_ROWS};
    bool idle = stream->work ? list_empty(&stream->consumers)
                             : !stream->max_age || stream->max_age > (uint64_t)now_ms;
    if (!stream->declared || !stream->sum.stored || idle)
        return 0;
    if (!stream->work)
        cut.before = now_ms - (int64_t)stream->max_age;
    if (floor_of(s, stream, &cut.below) || cut_head(s, stream, &cut))
        return -1;
    s->sweeping |= cut.gone == STORE_SWEEP_ROWS;
    return 0;
}

static int pragma(struct store *s, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    if (!db_prepare(&s->db, &stmt, "%s", sql))
        return -1;
    int rc = db_next(&s->db, stmt);
    *out = rc > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* When a quarter of the file is empty, it is made shorter, some pages at a time. */
static int shrink(struct store *s)
{
    int64_t empty, pages;
    if (pragma(s, "PRAGMA main.freelist_count", &empty) ||
        pragma(s, "PRAGMA main.page_count", &pages))
        return -1;
    if (empty < 1024 || empty < pages / 4)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_VACUUM, DB_FILE);
    int rc = stmt ? 1 : -1;
    while (rc > 0)
        rc = db_next(&s->db, stmt);
    s->sweeping = true;
    return rc;
}

static int expire_ids(struct store *s, int64_t now_ms)
{
    uint64_t window = 0;
    list_each (at, &s->streams) {
        window = MAX(window, container_of(at, struct stream, all)->dedupe_window);
    }
    if (window > (uint64_t)now_ms)
        return 0;
    uint64_t last = dedupe_expire(&s->dedupe, now_ms - (int64_t)window);
    s->expired = MAX(s->expired, last);
    if (!s->expired)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_DEDUPE_CUT, DB_FILE);
    if (!stmt || batch_begin(s, NULL))
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)s->expired);
    if (db_run(&s->db, stmt))
        return -1;
    if (sqlite3_changes(s->db.sql) == 4096)
        s->sweeping = true;
    else
        s->expired = 0;
    return 0;
}

int store_sweep(struct store *s, int64_t now_ms)
{
    s->sweeping = false;
    if (expire_ids(s, now_ms))
        return -1;
    list_each (at, &s->streams) {
        if (sweep_stream(s, container_of(at, struct stream, all), now_ms))
            return -1;
    }
    return s->sweeping ? 0 : shrink(s);
}
