/* Messages over, for one consumer: done, or put off until they are taken. */
#include "bus/store_core.h"

/* For this consumer there is nothing to do about it, now or later. */
static int is_settled(struct store *s, struct consumer *c, const struct message *m,
                      bool *settled)
{
    struct topic *topic = stream_topic(s, c->stream, m->topic);
    *settled = !consumer_takes_message(c, topic->id, m->only);
    if (*settled || m->seq > c->hi || open_has(c, m->seq))
        return 0;
    int rc = consumer_put_off(s, c, m->seq, NULL);
    *settled = rc == 0;
    return MIN(rc, 0);
}

/* A job goes with the last who had to do with it. */
static int delete_job(struct store *s, struct consumer *by, uint64_t seq)
{
    struct stream *stream = by->stream;
    bool settled = true, found;
    if (by->node.next == by->node.prev) /* nobody else */
        return stream_delete(s, stream, seq, &found);
    struct message *m = tail_get(&stream->tail, seq), *read = NULL;
    if (!m && row_get(s, stream, seq, &read) < 0)
        return -1;
    m = m ? m : read;
    int rc = 0;
    for (struct list *at = stream->consumers.next;
         m && rc == 0 && settled && at != &stream->consumers; at = at->next) {
        struct consumer *c = container_of(at, struct consumer, node);
        if (c != by)
            rc = is_settled(s, c, m, &settled);
    }
    if (rc == 0 && m && settled)
        rc = stream_delete(s, stream, seq, &found);
    message_release(read);
    return rc;
}

static int pending_delete(struct store *s, const struct consumer *c, uint64_t seq, bool *was)
{
    *was = false;
    if (!c->put_off)
        return 0;
    sqlite3_stmt *stmt = consumer_statement(s, c, seq, FIXED_PENDING_DELETE);
    if (!stmt)
        return -1;
    int rc = db_run(&s->db, stmt);
    *was = rc == 0 && sqlite3_changes(s->db.sql) > 0;
    return rc;
}

static int pending_write(struct store *s, const struct consumer *c, const struct op_settle *op,
                         enum fixed_statement which)
{
    sqlite3_stmt *stmt = consumer_statement(s, c, op->seq, which);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 3, op->tries);
    sqlite3_bind_int64(stmt, 4, op->due_ms);
    db_bind_text(stmt, 5, (struct slice){op->why.ptr, MIN(op->why.len, STORE_WHY_MAX)});
    return db_run(&s->db, stmt);
}

int consumer_forgets(struct store *s, struct consumer *c, const struct message *m)
{
    struct topic *topic = stream_topic(s, c->stream, m->topic);
    bool was = false;
    consumer_touch(s, c);
    if (m->seq > c->hi)
        was = consumer_takes_message(c, topic->id, m->only);
    else if (open_settle(c, m->seq))
        was = true;
    else if (pending_delete(s, c, m->seq, &was))
        return -1;
    else
        c->put_off -= was;
    c->settled += was;
    return 0;
}

static int settle_done(struct store *s, struct consumer *c, const struct op_settle *op,
                       bool open)
{
    bool was;
    if (open)
        open_settle(c, op->seq);
    else if (pending_delete(s, c, op->seq, &was))
        return -1;
    else
        c->put_off -= was;
    c->settled++;
    return c->stream->work ? delete_job(s, c, op->seq) : 0;
}

static int settle_later(struct store *s, struct consumer *c, const struct op_settle *op,
                        bool open)
{
    if (!open)
        return pending_write(s, c, op, FIXED_PENDING_SET);
    open_settle(c, op->seq);
    c->put_off++;
    return pending_write(s, c, op, FIXED_PENDING_PUT);
}

int store_do_settle(struct store *s, struct op_settle *op)
{
    struct consumer *c = store_consumer(s, op->consumer);
    bool open = c && open_has(c, op->seq);
    int put_off = c && !open ? consumer_put_off(s, c, op->seq, NULL) : 0;
    if (put_off < 0)
        return -1;
    if (!open && !put_off) {
        store_refuse(&op->op, ENGINE_UNKNOWN, "message %llu is not with consumer %u",
                     (unsigned long long)op->seq, op->consumer);
        return 0;
    }
    if (batch_begin(s, c->stream))
        return -1;
    if (op->output_count && store_insert_all(s, &op->op, op->outputs, op->output_count))
        return -1;
    if (op->op.status != ENGINE_OK)
        return 0; /* its outputs have no place: it stays as it is */
    consumer_touch(s, c);
    return op->how == SETTLE_DONE ? settle_done(s, c, op, open) : settle_later(s, c, op, open);
}
