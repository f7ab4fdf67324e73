/* Messages for who looks at them without being a consumer. */
#include <stdlib.h>

#include "base/topic.h"
#include "bus/store_core.h"

enum {
    READ_ROWS = 200000,    /* looked at for one op */
    READ_BYTES = 16 << 20, /* given to it */
    READ_MOST = 1000,
};

struct reading {
    struct op_read *op;
    bool backwards;
    uint64_t low, high; /* low <= seq < high */
    size_t cap;
    unsigned rows;
    uint64_t bytes;
    uint64_t cut; /* the seq where it was broken off; 0 = it was not */
};

static void keep(struct reading *r, struct message *held)
{
    struct op_read *op = r->op;
    if (op->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        op->messages = xrealloc(op->messages, r->cap * sizeof(struct message *));
    }
    op->messages[op->count++] = held;
    r->bytes += message_bytes(held);
}

/* The nearest of all places where a stream was left is where the next reading begins. */
static void break_off(struct reading *r, uint64_t seq)
{
    if (!r->cut || (r->backwards ? seq > r->cut : seq < r->cut))
        r->cut = seq;
}

static int read_stream(struct store *s, struct stream *stream, struct reading *r)
{
    enum stream_statement which = r->backwards ? STREAM_BEFORE : STREAM_AFTER;
    sqlite3_stmt *stmt = stream_statement(s, stream, which);
    size_t found = 0;
    int rc = 0;
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)(r->backwards ? r->high : r->low - 1));
    while (found < r->op->limit && (rc = db_next(&s->db, stmt)) > 0) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, ROW_SEQ);
        if (seq < r->low || seq >= r->high)
            break;
        if (++r->rows > READ_ROWS || r->bytes > READ_BYTES) {
            break_off(r, seq);
            break;
        }
        uint64_t topic = (uint64_t)sqlite3_column_int64(stmt, ROW_TOPIC);
        if (r->op->pattern.len && topic < stream->topic_count &&
            !topic_matches(r->op->pattern, slice_of(stream->topics[topic]->name)))
            continue;
        struct message *m = row_message(s, stream, stmt);
        if (m) {
            keep(r, m);
            found++;
        }
    }
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t left = (*(struct message *const *)a)->seq;
    uint64_t right = (*(struct message *const *)b)->seq;
    return left < right ? -1 : left > right;
}

static void reverse(struct op_read *op)
{
    for (size_t i = 0; i < op->count / 2; i++) {
        struct message *m = op->messages[i];
        op->messages[i] = op->messages[op->count - 1 - i];
        op->messages[op->count - 1 - i] = m;
    }
}

/* Those of several streams in one order, no more than wanted, none beyond where one was left.
 */
static void put_in_order(struct reading *r, bool newest_first)
{
    struct op_read *op = r->op;
    if (op->count)
        qsort(op->messages, op->count, sizeof(struct message *), by_seq);
    if (r->backwards)
        reverse(op);
    size_t count = MIN(op->count, op->limit);
    while (count && r->cut &&
           (r->backwards ? op->messages[count - 1]->seq < r->cut
                         : op->messages[count - 1]->seq > r->cut))
        count--;
    while (op->count > count)
        message_release(op->messages[--op->count]);
    if (r->backwards && !newest_first)
        reverse(op);
}

static int find_low(struct store *s, struct stream *stream, struct reading *r)
{
    const struct start *from = &r->op->from;
    r->low = from->kind == START_SEQ ? MAX(from->seq, 1) : 1;
    if (from->kind == START_TIME)
        return stream_at_time(s, stream, from->time_ms, &r->low);
    return 0;
}

void store_do_read(struct store *s, struct op_read *op)
{
    struct reading r = {.op = op, .high = op->before ? op->before : INT64_MAX};
    r.backwards = op->backwards || op->from.kind == START_NEW;
    op->messages = NULL;
    op->count = 0;
    op->next = op->removed = 0;
    op->limit = MIN(MAX(op->limit, 1), READ_MOST);
    bool found = false;
    list_each (at, &s->streams) {
        struct stream *stream = container_of(at, struct stream, all);
        if (op->stream.len && !slice_eq(op->stream, stream->name))
            continue;
        found = true;
        op->removed = MAX(op->removed, stream->removed);
        if (find_low(s, stream, &r) || read_stream(s, stream, &r)) {
            store_refuse(&op->op, ENGINE_BROKEN, "the store cannot be read: %s", s->db.why);
            break;
        }
    }
    if (op->stream.len && !found)
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no stream \"" SLICE_FMT "\"",
                     SLICE_ARG(op->stream));
    put_in_order(&r, op->backwards);
    op->next = r.cut;
}
