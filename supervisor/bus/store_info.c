/* How much there is of everything. */
#include "bus/store_core.h"

static void about_stream(struct store *s, struct stream *stream, struct stream_info *info,
                         struct arena *arena)
{
    *info = (struct stream_info){
        .name = arena_copy(arena, stream->name),
        .work = stream->work,
        .durability = stream->durability,
        .messages = stream->sum.stored,
        .bytes = stream->sum.bytes,
        .max_bytes = stream->max_bytes == UINT64_MAX ? 0 : stream->max_bytes,
        .removed = stream->removed,
        .delayed = stream->delayed,
    };
    if (stream_edges(s, stream, &info->first, &info->last))
        store_tell(s, LOG_ERROR, "the store cannot be read: %s", s->db.why);
}

static int64_t time_of(struct store *s, struct stream *stream, uint64_t seq)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_HEAD);
    if (!stmt)
        return 0;
    sqlite3_bind_int64(stmt, 1, (int64_t)seq);
    int64_t time_ms = db_next(&s->db, stmt) > 0 ? sqlite3_column_int64(stmt, 1) : 0;
    sqlite3_reset(stmt);
    return time_ms;
}

/* The first that matches behind `hi`; when there are many others, the first of those not seen.
 */
static int64_t time_ahead(struct store *s, struct consumer *c)
{
    sqlite3_stmt *stmt = stream_statement(s, c->stream, STREAM_HEAD);
    int64_t time_ms = 0;
    if (!stmt)
        return 0;
    sqlite3_bind_int64(stmt, 1, (int64_t)c->hi + 1);
    for (unsigned rows = 0; rows < 1000 && db_next(&s->db, stmt) > 0; rows++) {
        time_ms = sqlite3_column_int64(stmt, 1);
        if (consumer_takes(c, (uint32_t)sqlite3_column_int64(stmt, 2)))
            break;
    }
    sqlite3_reset(stmt);
    return time_ms;
}

static void about_consumer(struct store *s, struct consumer *c, struct consumer_info *info,
                           struct arena *arena)
{
    uint64_t floor, lag = consumer_lag(c);
    *info = (struct consumer_info){
        .id = c->id,
        .name = arena_copy(arena, c->name),
        .stream = arena_copy(arena, c->stream->name),
        .hi = c->hi,
        .lag = lag,
        .open = c->open_count,
        .put_off = c->put_off,
    };
    if (lag == 0)
        return;
    if (consumer_floor(s, c, &floor) == 0 && floor <= c->hi)
        info->oldest_ms = time_of(s, c->stream, floor);
    else
        info->oldest_ms = time_ahead(s, c);
}

void store_do_info(struct store *s, struct op_info *op)
{
    op->stream_count = op->consumer_count = op->delayed = 0;
    op->streams = arena_alloc(op->arena, (list_count(&s->streams) + 1) * sizeof(*op->streams));
    op->consumers =
        arena_alloc(op->arena, (list_count(&s->consumers) + 1) * sizeof(*op->consumers));
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        about_stream(s, stream, &op->streams[op->stream_count++], op->arena);
        op->delayed += stream->delayed;
        list_each (in, &stream->consumers)
            about_consumer(s, container_of(in, struct consumer, node),
                           &op->consumers[op->consumer_count++], op->arena);
    }
    op->blob_bytes = s->blobs.bytes;
    op->commits = s->commits;
    op->committed = s->committed;
    op->commit_p50_us = histogram_at(s->commit_us, 50);
    op->commit_p99_us = histogram_at(s->commit_us, 99);
    op->batch_p50 = histogram_at(s->batch_sizes, 50);
    op->batch_p99 = histogram_at(s->batch_sizes, 99);
    op->batch_mean = histogram_mean(s->batch_sizes);
    op->failures = s->failures;
    op->disk_full = s->room.full;
    if (db_sizes(&s->db, &op->disk_bytes, &op->wal_bytes))
        store_tell(s, LOG_ERROR, "the store cannot be read: %s", s->db.why);
}
