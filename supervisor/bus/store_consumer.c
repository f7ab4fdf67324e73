/* Consumers: declared, changed, moved, forgotten. */
#include <stdio.h>

#include "base/topic.h"
#include "bus/store_core.h"

struct consumer *store_consumer(struct store *s, uint32_t id)
{
    return idmap_get(&s->consumer_ids, id);
}

struct consumer *consumer_new(struct store *s, struct stream *stream, uint32_t id,
                              struct slice name)
{
    struct consumer *c = xcalloc(1, sizeof(*c));
    c->id = id;
    c->stream = stream;
    c->name = (struct slice){xstrndup(name.ptr, name.len), name.len};
    c->epoch = 1;
    list_init(&c->dirty);
    list_add(&stream->consumers, &c->node);
    list_add(&s->consumers, &c->all);
    idmap_put(&s->consumer_ids, id, c);
    s->last_consumer = MAX(s->last_consumer, id);
    return c;
}

static void free_patterns(struct consumer *c)
{
    for (size_t i = 0; i < c->pattern_count; i++)
        xfree(c->patterns[i]);
    xfree(c->patterns);
    xfree(c->takes);
}

void consumer_free(struct store *s, struct consumer *c)
{
    free_patterns(c);
    buf_deinit(&c->config);
    xfree(c->open);
    xfree((char *)c->name.ptr);
    list_del(&c->node);
    list_del(&c->all);
    list_del(&c->dirty);
    idmap_remove(&s->consumer_ids, c->id);
    xfree(c);
}

void consumer_set_patterns(struct consumer *c, const struct slice *patterns, size_t count)
{
    c->patterns = xcalloc(MAX(count, 1), sizeof(char *));
    c->pattern_count = count;
    c->takes = NULL;
    c->takes_count = 0;
    for (size_t i = 0; i < count; i++)
        c->patterns[i] = xstrndup(patterns[i].ptr, patterns[i].len);
}

/* Of none it takes everything. */
static bool matches(const struct consumer *c, struct slice topic)
{
    for (size_t i = 0; i < c->pattern_count; i++)
        if (topic_matches(slice_of(c->patterns[i]), topic))
            return true;
    return c->pattern_count == 0;
}

bool consumer_takes(struct consumer *c, uint32_t topic)
{
    if (topic >= c->takes_count) {
        const struct stream *stream = c->stream;
        c->takes = xrealloc(c->takes, stream->topic_cap);
        for (size_t id = c->takes_count; id < stream->topic_count; id++)
            c->takes[id] = id && matches(c, slice_of(stream->topics[id]->name));
        c->takes_count = stream->topic_count;
    }
    return topic < c->takes_count && c->takes[topic];
}

bool consumer_takes_message(struct consumer *c, uint32_t topic, struct slice only)
{
    return (only.len == 0 || slice_eq(only, c->name)) && consumer_takes(c, topic);
}

void consumer_touch(struct store *s, struct consumer *c)
{
    if (!list_empty(&c->dirty))
        return;
    c->saved_settled = c->settled;
    c->saved_put_off = c->put_off;
    c->saved_hi = c->hi;
    list_add(&s->batch.consumers, &c->dirty);
}

/* All that ever came for it, but for what is for one group only. */
static int64_t came(struct consumer *c)
{
    int64_t sum = 0;
    for (uint32_t id = 1; id < c->stream->topic_count; id++)
        if (consumer_takes(c, id))
            sum += (int64_t)c->stream->topics[id]->now.total;
    return sum;
}

uint64_t consumer_lag(struct consumer *c)
{
    int64_t lag = came(c) - c->settled;
    return lag > 0 ? (uint64_t)lag : 0;
}

sqlite3_stmt *consumer_statement(struct store *s, const struct consumer *c, uint64_t seq,
                                 enum fixed_statement which)
{
    sqlite3_stmt *stmt = fixed_statement(s, which, c->stream->place);
    if (!stmt)
        return NULL;
    sqlite3_bind_int64(stmt, 1, c->id);
    sqlite3_bind_int64(stmt, 2, (int64_t)seq);
    return stmt;
}

int consumer_put_off(struct store *s, const struct consumer *c, uint64_t seq, uint32_t *tries)
{
    if (!c->put_off)
        return 0;
    sqlite3_stmt *stmt = consumer_statement(s, c, seq, FIXED_PENDING_GET);
    if (!stmt)
        return -1;
    int rc = db_next(&s->db, stmt);
    if (rc > 0 && tries)
        *tries = (uint32_t)sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return rc;
}

int consumer_floor(struct store *s, struct consumer *c, uint64_t *seq)
{
    *seq = c->hi + 1;
    if (c->open_count)
        *seq = MIN(*seq, c->open[0] >> 1);
    if (!c->put_off)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_PENDING_FIRST, c->stream->place);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, c->id);
    int rc = db_next(&s->db, stmt);
    if (rc > 0 && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        *seq = MIN(*seq, (uint64_t)sqlite3_column_int64(stmt, 0));
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

/* ---------------------------------------------- how many match from a place on */

int stream_edges(struct store *s, struct stream *stream, uint64_t *first, uint64_t *last)
{
    sqlite3_stmt *stmt = stream_statement(s, stream, STREAM_EDGES);
    *first = *last = 0;
    if (!stmt)
        return -1;
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0)
        *(sqlite3_column_int(stmt, 1) ? last : first) = (uint64_t)sqlite3_column_int64(stmt, 0);
    return rc;
}

int consumer_count(struct store *s, struct consumer *c, uint64_t from, uint64_t to,
                   uint64_t *count)
{
    sqlite3_stmt *stmt = stream_statement(s, c->stream, STREAM_COUNT);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)from);
    sqlite3_bind_int64(stmt, 2, (int64_t)to);
    int rc;
    *count = 0;
    while ((rc = db_next(&s->db, stmt)) > 0)
        *count += consumer_takes_message(c, (uint32_t)sqlite3_column_int64(stmt, 0),
                                         db_text(stmt, 1));
    return rc;
}

/* Of what is stored; reads the shorter side, and mostly nothing. */
static int count_from(struct store *s, struct consumer *c, uint64_t from, uint64_t *count)
{
    uint64_t first, last, below;
    *count = 0;
    if (stream_edges(s, c->stream, &first, &last))
        return -1;
    if (from > last)
        return 0;
    bool exclusive = c->stream->topics[0]->now.stored > 0;
    if (exclusive || last - from < from - MIN(from, first))
        return consumer_count(s, c, from, last + 1, count);
    for (uint32_t id = 1; id < c->stream->topic_count; id++)
        if (consumer_takes(c, id))
            *count += c->stream->topics[id]->now.stored;
    if (from <= first)
        return 0;
    if (consumer_count(s, c, first, from, &below))
        return -1;
    *count -= below;
    return 0;
}

/* So that its lag is what is stored from here on, and what it has. */
static int settle_all_below(struct store *s, struct consumer *c, uint64_t from)
{
    uint64_t count;
    if (count_from(s, c, from, &count))
        return -1;
    c->settled = came(c) - (int64_t)(count + c->open_count + c->put_off);
    return 0;
}

static int start_seq(struct store *s, struct stream *stream, const struct start *start,
                     uint64_t *seq)
{
    switch (start->kind) {
    case START_NEW:
        *seq = s->seq + 1;
        return 0;
    case START_FIRST:
        *seq = 1;
        return 0;
    case START_SEQ:
        *seq = MIN(MAX(start->seq, 1), s->seq + 1);
        return 0;
    case START_TIME:
        return stream_at_time(s, stream, start->time_ms, seq);
    }
    return -1;
}

/* ---------------------------------------------------------------- changes */

/* What a consumer was, until it is known whether it is something else. */
struct consumer_change {
    struct consumer *consumer;
    struct consumer old; /* its patterns, what it had open */
    bool created, patterns, moved;
};

static struct consumer_change *change_new(struct store *s, struct consumer *c,
                                          void (*apply)(struct store *, void *, bool))
{
    struct consumer_change *change = xcalloc(1, sizeof(*change));
    change->consumer = c;
    change->old = *c;
    s->batch.apply = apply;
    s->batch.change = change;
    return change;
}

static void restore(struct consumer_change *change)
{
    struct consumer *c = change->consumer, *old = &change->old;
    c->settled = old->settled;
    if (change->patterns) {
        free_patterns(c);
        c->patterns = old->patterns;
        c->pattern_count = old->pattern_count;
        c->takes = old->takes;
        c->takes_count = old->takes_count;
    }
    if (change->moved) {
        xfree(c->open);
        c->open = old->open;
        c->open_count = old->open_count;
        c->open_cap = old->open_cap;
        c->again = old->again;
        c->again_at = old->again_at;
        c->hi = old->hi;
        c->put_off = old->put_off;
        c->epoch = old->epoch;
    }
}

static void changed(struct store *s, void *arg, bool ok)
{
    struct consumer_change *change = arg;
    struct consumer *c = change->consumer;
    if (!ok && change->created)
        consumer_free(s, c);
    else if (!ok)
        restore(change);
    else {
        if (change->patterns)
            free_patterns(&change->old);
        if (change->moved)
            xfree(change->old.open);
        if (!c->declared)
            c->again = c->open_count;
        c->declared = true;
    }
    xfree(change);
}

/* All of it, when it is new or moved. */
static int write_consumer(struct store *s, const struct consumer *c, struct slice config)
{
    sqlite3_stmt *stmt = NULL;
    if (c->stream->place == DB_MEMORY)
        return 0;
    if (!db_prepare(&s->db, &stmt,
                    "INSERT INTO main.consumer VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
                    " ON CONFLICT(id) DO UPDATE SET patterns=?5, settled=?6, hi=?7, open=?8"))
        return -1;
    struct buf patterns = {0}, open = {0};
    for (size_t i = 0; i < c->pattern_count; i++)
        buf_addf(&patterns, "%s\n", c->patterns[i]);
    open_encode(c, &open);
    sqlite3_bind_int64(stmt, 1, c->id);
    sqlite3_bind_int64(stmt, 2, c->stream->id);
    db_bind_text(stmt, 3, c->name);
    sqlite3_bind_text(stmt, 4, config.len ? config.ptr : "{}", config.len ? (int)config.len : 2,
                      SQLITE_STATIC);
    sqlite3_bind_text(stmt, 5, patterns.len ? patterns.ptr : "", (int)patterns.len,
                      SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 6, c->settled);
    sqlite3_bind_int64(stmt, 7, (int64_t)c->hi);
    db_bind_blob(stmt, 8, buf_slice(&open));
    int rc = db_run(&s->db, stmt);
    sqlite3_finalize(stmt);
    buf_deinit(&patterns);
    buf_deinit(&open);
    return rc;
}

static int create_consumer(struct store *s, struct op_consumer *op, struct stream *stream)
{
    uint64_t from;
    if (op->name.len == 0 || op->name.len > MESSAGE_ID_MAX) {
        store_refuse(&op->op, ENGINE_INVALID, "a consumer's name has 1 to %d bytes",
                     MESSAGE_ID_MAX);
        return 0;
    }
    struct consumer *c = consumer_new(s, stream, s->last_consumer + 1, op->name);
    consumer_set_patterns(c, op->patterns, op->pattern_count);
    buf_add(&c->config, op->config);
    op->created = true;
    op->id = c->id;
    change_new(s, c, changed)->created = true;
    if (start_seq(s, stream, &op->start, &from) || batch_begin(s, stream) ||
        settle_all_below(s, c, from))
        return -1;
    c->hi = from - 1;
    return write_consumer(s, c, op->config);
}

/* With the keys, which are in the messages. */
static int list_put_off(struct store *s, struct op_consumer *op, const struct consumer *c)
{
    sqlite3_stmt *stmt = NULL;
    const char *schema = db_schema(c->stream->place);
    if (c->put_off == 0)
        return 0;
    if (!db_prepare(&s->db, &stmt,
                    "SELECT p.seq, tries, due, key FROM %s.pending p LEFT JOIN %s.msg_%u m"
                    " ON m.seq=p.seq WHERE consumer=%u ORDER BY p.seq",
                    schema, schema, c->stream->id, c->id))
        return -1;
    op->put_off = xcalloc(c->put_off, sizeof(*op->put_off));
    int rc;
    while ((rc = db_next(&s->db, stmt)) > 0 && op->put_off_count < c->put_off) {
        struct slice key = db_text(stmt, 3);
        op->put_off[op->put_off_count++] = (struct put_off){
            .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
            .tries = (uint32_t)sqlite3_column_int64(stmt, 1),
            .due_ms = sqlite3_column_int64(stmt, 2),
            .key = key.len ? xstrndup(key.ptr, key.len) : NULL,
        };
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

static bool same_patterns(const struct consumer *c, const struct op_consumer *op)
{
    bool same = c->pattern_count == op->pattern_count;
    for (size_t i = 0; same && i < c->pattern_count; i++)
        same = slice_is(op->patterns[i], c->patterns[i]);
    return same;
}

int store_do_consumer(struct store *s, struct op_consumer *op)
{
    struct stream *stream = store_stream(s, op->stream);
    op->put_off = NULL;
    op->put_off_count = 0;
    op->created = false;
    op->open = 0;
    if (!stream) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no stream \"" SLICE_FMT "\"",
                     SLICE_ARG(op->stream));
        return 0;
    }
    struct consumer *c = NULL;
    list_each (at, &stream->consumers) {
        if (slice_eq(container_of(at, struct consumer, node)->name, op->name))
            c = container_of(at, struct consumer, node);
    }
    if (!c)
        return create_consumer(s, op, stream);
    op->id = c->id;
    op->open = c->declared ? c->again - c->again_at : c->open_count;
    struct consumer_change *change = change_new(s, c, changed);
    if (list_put_off(s, op, c))
        return -1;
    if (same_patterns(c, op))
        return 0;
    change->patterns = true;
    consumer_set_patterns(c, op->patterns, op->pattern_count);
    if (batch_begin(s, stream) || settle_all_below(s, c, c->hi + 1))
        return -1;
    return write_consumer(s, c, op->config);
}

static int forget_pending(struct store *s, const struct consumer *c)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_PENDING_CUT, c->stream->place);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, c->id);
    sqlite3_bind_int64(stmt, 2, 0);
    sqlite3_bind_int64(stmt, 3, INT64_MAX);
    return db_run(&s->db, stmt);
}

int store_do_seek(struct store *s, struct op_seek *op)
{
    struct consumer *c = store_consumer(s, op->consumer);
    uint64_t from;
    if (!c) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no consumer %u", op->consumer);
        return 0;
    }
    struct consumer_change *change = change_new(s, c, changed);
    if (start_seq(s, c->stream, &op->start, &from) || batch_begin(s, c->stream) ||
        forget_pending(s, c))
        return -1;
    change->moved = true;
    c->open = NULL;
    c->open_count = c->open_cap = c->again = c->again_at = 0;
    c->put_off = 0;
    c->hi = from - 1;
    op->epoch = ++c->epoch;
    return settle_all_below(s, c, from) ? -1 : write_consumer(s, c, buf_slice(&c->config));
}

static void dropped(struct store *s, void *arg, bool ok)
{
    if (ok)
        consumer_free(s, arg);
}

int store_drop_consumer(struct store *s, struct op_drop *op)
{
    struct consumer *c = store_consumer(s, op->consumer);
    if (!c) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no consumer %u", op->consumer);
        return 0;
    }
    s->batch.apply = dropped;
    s->batch.change = c;
    char sql[96];
    snprintf(sql, sizeof(sql), "DELETE FROM main.consumer WHERE id=%u", c->id);
    if (batch_begin(s, c->stream) || forget_pending(s, c))
        return -1;
    return c->stream->place == DB_FILE ? db_exec(&s->db, sql) : 0;
}
