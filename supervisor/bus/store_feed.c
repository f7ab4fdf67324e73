/* Messages out: to each consumer as many as it has credit for, the oldest first. */
#include "bus/store_core.h"

enum { TAIL_TURN = 4096 }; /* from memory, before another's turn */

static void deliver(struct parcel *p, struct consumer *c, struct message *held)
{
    parcel_note(p, held, c, 0);
    c->credit--;
}

static void feed_from_tail(struct parcel *p, struct consumer *c)
{
    struct tail_stream *t = &c->stream->tail;
    unsigned left = TAIL_TURN;
    for (uint64_t at = tail_find(t, c->hi); at < t->end && c->credit && left; at++, left--) {
        struct tail_slot *slot = tail_at(t, at);
        c->hi = slot->seq;
        if (!slot->message || !consumer_takes_message(c, slot->topic, slot->message->only))
            continue;
        open_add(c, slot->seq);
        deliver(p, c, message_hold(slot->message));
    }
}

/*
 * A damaged row stays open: it is neither served nor forgotten.  A page that cannot be read is
 * passed over, and told.
 */
static int feed_from_file(struct store *s, struct parcel *p, struct consumer *c,
                          uint64_t until_ns)
{
    sqlite3_stmt *stmt = stream_statement(s, c->stream, STREAM_AFTER);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)c->hi);
    int rc = 1;
    for (unsigned rows = 0; rows < STORE_TURN_ROWS && c->credit; rows++) {
        rc = db_next(&s->db, stmt);
        if (rc <= 0)
            break;
        c->hi = (uint64_t)sqlite3_column_int64(stmt, ROW_SEQ);
        if (!consumer_takes_message(c, (uint32_t)sqlite3_column_int64(stmt, ROW_TOPIC),
                                    db_text(stmt, ROW_ONLY)))
            continue;
        open_add(c, c->hi);
        struct message *m = row_message(s, c->stream, stmt);
        if (m)
            deliver(p, c, m);
        if (rows % 16 == 0 && loop_clock_ns() > until_ns)
            break;
    }
    sqlite3_reset(stmt);
    if (rc == 0)
        c->hi = MAX(c->hi, c->stream->last);
    return rc < 0 ? rc : 0;
}

/* What it had open when the store was closed, before what is newer. */
static int feed_again(struct store *s, struct parcel *p, struct consumer *c)
{
    for (unsigned n = 0; n < STORE_TURN_ROWS && c->again_at < c->again && c->credit; n++) {
        uint64_t seq = c->open[c->again_at] >> 1;
        struct message *m = tail_get(&c->stream->tail, seq);
        if (m)
            message_hold(m);
        else {
            int rc = row_get(s, c->stream, seq, &m);
            if (rc < 0)
                return rc;
            if (rc == 0) { /* it was removed while nobody looked */
                open_remove(c, seq, seq);
                c->settled++;
                continue;
            }
        }
        c->again_at++;
        if (m)
            deliver(p, c, m);
    }
    return 0;
}

static bool is_behind(const struct consumer *c)
{
    return c->again_at < c->again || c->hi < c->stream->tail.floor;
}

static bool hungry(const struct consumer *c)
{
    return c->credit && (c->again_at < c->again || c->hi < c->stream->last);
}

/* After a fault: beyond the rows that cannot be read, where others can. */
static void pass_over(struct store *s, struct consumer *c)
{
    uint64_t from = c->hi + 1, step = 1;
    sqlite3_stmt *stmt = stream_statement(s, c->stream, STREAM_HEAD);
    s->failures++;
    int rc = -1;
    while (stmt && rc < 0 && c->hi + step < c->stream->last) {
        sqlite3_bind_int64(stmt, 1, (int64_t)(c->hi + step));
        rc = db_next(&s->db, stmt);
        sqlite3_reset(stmt);
        step *= 2;
    }
    uint64_t to = rc < 0 ? c->stream->last : c->hi + step / 2 - 1;
    c->hi = to;
    store_tell(s, LOG_ERROR,
               "messages %llu to %llu of stream \"" SLICE_FMT
               "\" cannot be read (%s): \"" SLICE_FMT "\" goes on behind them",
               (unsigned long long)from, (unsigned long long)to, SLICE_ARG(c->stream->name),
               s->db.why, SLICE_ARG(c->name));
}

static void feed_one(struct store *s, struct parcel *p, struct consumer *c, uint64_t until_ns)
{
    int rc = 0;
    if (c->again_at < c->again)
        rc = feed_again(s, p, c);
    else if (c->hi >= c->stream->tail.floor)
        feed_from_tail(p, c);
    else
        rc = feed_from_file(s, p, c, until_ns);
    if (rc == 0)
        return;
    if ((s->db.rc & 0xff) == SQLITE_CORRUPT)
        pass_over(s, c);
    else
        store_tell(s, LOG_ERROR, "the store cannot be read: %s", s->db.why);
}

/*
 * Who is behind catches up with what is left over: while others publish, the file is read
 * for a share of the time.  It is the "generic cell rate algorithm" (ITU-T I.371, annex A):
 * `rested_ns` is when all that was read is paid for.
 */
static void rest(struct store *s, uint64_t read_ns)
{
    uint64_t begun = loop_clock_ns() - read_ns;
    if (begun - s->published_ns < STORE_PUBLISHED_NS)
        s->rested_ns =
            MAX(s->rested_ns, begun - STORE_READ_BURST_NS) + STORE_READ_SHARE * read_ns;
}

static bool may_read(struct store *s, uint64_t now)
{
    if (now >= s->rested_ns)
        return true;
    s->next_feed_ms = store_wall_ms() + 1;
    return false;
}

bool store_feed(struct store *s, struct parcel *p)
{
    uint64_t until_ns = 0, read_ns = 0;
    bool more = false;
    struct list *first = NULL;
    s->next_feed_ms = INT64_MAX;
    for (struct list *at = s->consumers.next; at != &s->consumers && at != first;) {
        struct consumer *c = container_of(at, struct consumer, all);
        at = at->next;
        if (!hungry(c))
            continue;
        uint64_t now = loop_clock_ns();
        bool behind = is_behind(c);
        until_ns = until_ns ? until_ns : now + STORE_TURN_NS;
        if (now > until_ns) {
            more = true;
            break;
        }
        if (behind && !may_read(s, now))
            continue;
        feed_one(s, p, c, now + STORE_READ_NS);
        if (behind)
            read_ns += loop_clock_ns() - now;
        more |= hungry(c);
        list_del(&c->all); /* it was its turn: the others come first next time */
        list_add(&s->consumers, &c->all);
        first = first ? first : &c->all;
    }
    if (read_ns)
        rest(s, read_ns);
    return more;
}

static int take_one(struct store *s, struct consumer *c, uint64_t seq, struct parcel *p)
{
    uint32_t tries = 0;
    struct message *m = tail_get(&c->stream->tail, seq);
    int rc = consumer_put_off(s, c, seq, &tries);
    if (rc <= 0)
        return rc;
    if (m)
        message_hold(m);
    else
        rc = row_get(s, c->stream, seq, &m);
    if (!m)
        return rc < 0 ? rc : 0;
    parcel_note(p, m, c, tries);
    return 1;
}

void store_do_take(struct store *s, struct op_take *op, struct parcel *p)
{
    struct consumer *c = store_consumer(s, op->consumer);
    for (size_t i = 0; c && i < op->count; i++) {
        int rc = take_one(s, c, op->seqs[i], p);
        if (rc < 0)
            store_refuse(&op->op, ENGINE_BROKEN, "message %llu cannot be read: %s",
                         (unsigned long long)op->seqs[i], s->db.why);
        else if (rc == 0)
            store_refuse(&op->op, ENGINE_UNKNOWN, "message %llu is not put off",
                         (unsigned long long)op->seqs[i]);
    }
    if (!c)
        store_refuse(&op->op, ENGINE_UNKNOWN, "there is no consumer %u", op->consumer);
}
