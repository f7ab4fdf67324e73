/*
 * One transaction for all ops that wait.  Nobody hears of what it did before it is stored; when
 * it fails, everything is as before it began.
 */
#include "bus/store_core.h"

void batch_init(struct store *s)
{
    struct batch *b = &s->batch;
    list_init(&b->ops);
    list_init(&b->topics);
    list_init(&b->streams);
    list_init(&b->consumers);
    b->parcel = parcel_new();
}

int batch_begin(struct store *s, const struct stream *touched)
{
    struct batch *b = &s->batch;
    if (!touched || touched->place == DB_FILE)
        b->file = true;
    if (b->began)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_BEGIN, DB_FILE);
    if (!stmt || db_set_level(&s->db, store_level(s)) || db_run(&s->db, stmt))
        return -1;
    b->began = true;
    b->number = s->commits_on_disk + 1;
    b->seq = s->seq;
    b->time_ms = s->time_ms;
    b->delayed = s->delayed;
    b->ids = s->dedupe.end;
    s->time_ms = MAX(s->time_ms, store_wall_ms());
    return 0;
}

/* ---------------------------------------------------------------- how it ends */

static int write_tally(struct store *s, enum db_place place, uint32_t stream, uint32_t topic,
                       const char *name, const struct tally *t)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_TALLY, place);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, stream);
    sqlite3_bind_int64(stmt, 2, topic);
    sqlite3_bind_text(stmt, 3, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, (int64_t)t->total);
    sqlite3_bind_int64(stmt, 5, (int64_t)t->stored);
    sqlite3_bind_int64(stmt, 6, (int64_t)t->bytes);
    return db_run(&s->db, stmt);
}

/* What a stream has besides messages that are there. */
static int write_marks(struct store *s, const struct stream *stream)
{
    struct tally marks = {.total = stream->removed, .stored = stream->delayed};
    bool same =
        stream->removed == stream->saved_removed && stream->delayed == stream->saved_delayed;
    if (same || stream->place == DB_MEMORY)
        return 0;
    return write_tally(s, DB_FILE, 0, stream->id + STORE_MARKS, "", &marks);
}

static int write_consumer(struct store *s, const struct consumer *c)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_CONSUMER, DB_FILE);
    if (!stmt)
        return -1;
    struct buf open = {0};
    open_encode(c, &open);
    sqlite3_bind_int64(stmt, 1, c->settled);
    sqlite3_bind_int64(stmt, 2, (int64_t)c->hi);
    db_bind_blob(stmt, 3, buf_slice(&open));
    sqlite3_bind_int64(stmt, 4, c->id);
    int rc = db_run(&s->db, stmt);
    buf_deinit(&open);
    return rc;
}

/* What the batch changed besides rows of messages: once, however often. */
static int write_changes(struct store *s)
{
    struct batch *b = &s->batch;
    list_each (at, &b->topics) {
        struct topic *t = container_of(at, struct topic, dirty);
        if (write_tally(s, t->stream->place, t->stream->id, t->id, t->name, &t->now))
            return -1;
    }
    list_each (at, &b->streams) {
        if (write_marks(s, container_of(at, struct stream, changed)))
            return -1;
    }
    list_each (at, &b->consumers) {
        struct consumer *c = container_of(at, struct consumer, dirty);
        if (c->stream->place == DB_FILE && write_consumer(s, c))
            return -1;
    }
    struct tally state = {s->seq, s->delayed, (uint64_t)s->time_ms};
    struct tally commits = {.total = b->number};
    if (!b->file)
        return 0;
    return write_tally(s, DB_FILE, 0, 0, "", &state) ||
                   write_tally(s, DB_FILE, 0, 1, "", &commits)
               ? -1
               : 0;
}

static int commit(struct store *s)
{
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_COMMIT, DB_FILE);
    if (!stmt || write_changes(s))
        return -1;
    store_fault(s, FAULT_BEFORE_COMMIT);
    uint64_t begin = loop_clock_ns();
    s->batch.committing = true;
    if (db_run(&s->db, stmt))
        return -1;
    store_fault(s, FAULT_AFTER_COMMIT);
    histogram_add(s->commit_us, (loop_clock_ns() - begin) / 1000);
    if (s->batch.fresh_count)
        histogram_add(s->batch_sizes, s->batch.fresh_count);
    s->commits++;
    return 0;
}

static void reset(struct batch *b)
{
    b->began = b->file = b->committing = b->due = b->refuse = false;
    b->fresh_count = b->stale_count = 0;
    b->apply = NULL;
    b->change = NULL;
}

static void apply(struct store *s, bool ok)
{
    if (s->batch.apply)
        s->batch.apply(s, s->batch.change, ok);
    s->batch.apply = NULL;
}

/* Something was published: there is room. */
static void tell_room(struct store *s)
{
    if (s->filled.since_ms && outage_ends(&s->filled, store_wall_ms()))
        store_tell(s, LOG_WARN, "the disk has room again: publishes are accepted");
}

/* It is stored: from now on it is to be seen. */
static void batch_kept(struct store *s)
{
    struct batch *b = &s->batch;
    list_each_safe (at, &b->topics)
        list_del(at);
    list_each_safe (at, &b->streams)
        list_del(at);
    while (!list_empty(&b->consumers)) {
        struct consumer *c = list_first(&b->consumers, struct consumer, dirty);
        open_commit(c);
        list_del(&c->dirty);
    }
    if (b->file)
        s->commits_on_disk = b->number;
    if (b->fresh_count && !b->refuse)
        tell_room(s);
    struct parcel *p = b->parcel;
    if (s->wants_stored && b->fresh_count)
        p->stored = xmalloc(b->fresh_count * sizeof(struct message *));
    for (size_t i = 0; i < b->fresh_count; i++) {
        struct fresh *f = &b->fresh[i];
        tail_add(&s->tail, &f->stream->tail, f->message, f->topic);
        if (p->stored)
            p->stored[p->stored_count++] = f->message;
        else
            message_release(f->message);
    }
    for (size_t i = 0; i < b->stale_count; i++)
        tail_forget(&s->tail, &b->stale[i].stream->tail, b->stale[i].seq);
    blobs_end(&s->blobs, &b->blobs, true);
    apply(s, true);
    reset(b);
}

static void undo_counts(struct store *s)
{
    struct batch *b = &s->batch;
    while (!list_empty(&b->topics)) {
        struct topic *t = list_first(&b->topics, struct topic, dirty);
        t->now = t->saved;
        list_del(&t->dirty);
    }
    while (!list_empty(&b->streams)) {
        struct stream *stream = list_first(&b->streams, struct stream, changed);
        stream_undo(stream);
        list_del(&stream->changed);
    }
    while (!list_empty(&b->consumers)) {
        struct consumer *c = list_first(&b->consumers, struct consumer, dirty);
        c->settled = c->saved_settled;
        c->put_off = c->saved_put_off;
        c->hi = c->saved_hi;
        open_undo(c);
        list_del(&c->dirty);
    }
}

static void batch_undone(struct store *s)
{
    struct batch *b = &s->batch;
    undo_counts(s);
    if (b->began) {
        s->seq = b->seq;
        s->time_ms = b->time_ms;
        s->delayed = b->delayed;
        dedupe_undo(&s->dedupe, b->ids);
    }
    for (size_t i = 0; i < b->fresh_count; i++)
        message_release(b->fresh[i].message);
    b->parcel->gap_count = 0;
    blobs_end(&s->blobs, &b->blobs, false);
    apply(s, false);
    reset(b);
}

static int run_ops(struct store *s)
{
    int rc = 0;
    for (struct list *at = s->batch.ops.next; rc == 0 && at != &s->batch.ops; at = at->next)
        rc = store_do_op(s, container_of(at, struct op, node));
    if (rc == 0 && s->batch.due)
        rc = batch_begin(s, NULL);
    if (rc == 0 && s->batch.due)
        rc = store_do_due(s, store_wall_ms());
    if (rc == 0 && s->batch.began)
        rc = commit(s);
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->db.sql && !sqlite3_get_autocommit(s->db.sql))
        IGNORE(db_exec(&s->db, "ROLLBACK")); /* else it was rolled back already */
}

static bool disk_is_full(const struct store *s)
{
    return (s->db.rc & 0xff) == SQLITE_FULL;
}

static void reply(struct store *s)
{
    struct batch *b = &s->batch;
    list_each_safe (at, &b->ops) {
        struct op *op = container_of(at, struct op, node);
        if (op->kind == OP_BACKUP && s->backup && op->status == ENGINE_OK)
            list_del(at); /* ends later */
    }
    s->committed += list_count(&b->ops);
    store_fault(s, FAULT_BEFORE_REPLY);
    offload_reply_all(&s->offload, &b->ops);
}

void store_decided(struct store *s, bool kept)
{
    s->undecided = false;
    if (kept) {
        batch_kept(s);
        list_each (at, &s->batch.ops)
            store_after_commit(s, container_of(at, struct op, node));
    } else {
        batch_undone(s);
        store_fail_ops(s, &s->batch.ops, ENGINE_BROKEN);
    }
    reply(s);
}

static void tell_full(struct store *s, bool reserve)
{
    struct outage *o = &s->filled;
    if (!outage_goes_on(o, store_wall_ms()))
        return;
    if (o->times > 1)
        store_tell(s, LOG_ERROR, "the disk is full: publishes were refused %llu times so far",
                   (unsigned long long)o->times);
    else
        store_tell(s, LOG_ERROR, "the disk is full: publishes are refused%s",
                   reserve ? ", and the reserve is used for what frees room" : "");
}

/* With a full disk: what frees room goes on, with the reserve; what needs room does not. */
static bool try_again(struct store *s)
{
    if (!disk_is_full(s) || s->batch.refuse)
        return false;
    s->failures++;
    batch_undone(s);
    list_each (at, &s->batch.ops)
        store_clear_op(container_of(at, struct op, node));
    bool reserve = disk_room_exhausted(&s->room);
    tell_full(s, reserve);
    s->batch.refuse = true;
    return true;
}

static void failed(struct store *s)
{
    if (disk_is_full(s)) {
        batch_undone(s);
        store_fail_ops(s, &s->batch.ops, ENGINE_FULL);
        reply(s);
        return;
    }
    s->undecided = true; /* also when COMMIT was not reached: then the number tells so */
    store_recover(s);
}

static void run_batch(struct store *s)
{
    int rc = run_ops(s);
    if (rc) {
        store_rollback(s);
        if (try_again(s)) {
            rc = run_ops(s);
            if (rc)
                store_rollback(s);
        }
    }
    if (rc)
        failed(s);
    else
        store_decided(s, true);
}

int store_commit_own(struct store *s)
{
    int rc = s->batch.began ? commit(s) : 0;
    if (rc == 0)
        batch_kept(s);
    return rc;
}

void store_own_failed(struct store *s)
{
    store_rollback(s);
    if (disk_is_full(s)) {
        batch_undone(s);
        disk_room_exhausted(&s->room);
        return;
    }
    s->undecided = true;
    store_recover(s);
}

/* ------------------------------------------------------------------ the queue */

static void look_at_room(struct store *s)
{
    if (!disk_room_check(&s->room, store_wall_ms()))
        return;
    if (!s->room.full)
        IGNORE(outage_ends(&s->filled, store_wall_ms())); /* as is told here */
    if (s->room.gone)
        store_tell(s, LOG_ERROR,
                   "%s was removed, or another folder is in its place: publishes are refused "
                   "until it is back or nodey has been started again",
                   s->dir);
    else
        store_tell(s, LOG_WARN,
                   s->room.full ? "the disk is nearly full, %llu MiB are free: publishes are "
                                  "refused"
                                : "the disk has room again, %llu MiB: publishes are accepted",
                   (unsigned long long)(s->room.free >> 20));
}

/* Nothing can be done; but nobody is left waiting. */
static void refuse_all(struct store *s)
{
    struct list ops;
    list_init(&ops);
    list_splice(&ops, &s->queue);
    list_each (at, &ops)
        s->closing |= (int)container_of(at, struct op, node)->kind == LETTER_CLOSE;
    store_fail_ops(s, &ops, ENGINE_BROKEN);
    if (s->closing && s->undecided)
        store_decided(s, false);
    offload_reply_all(&s->offload, &ops);
}

void store_commit_turn(struct store *s)
{
    if (s->down) {
        refuse_all(s);
        return;
    }
    if (store_take_ops(s)) {
        s->published_ns = loop_clock_ns();
        look_at_room(s);
    }
    int64_t now = store_wall_ms();
    s->batch.due = s->next_due_ms <= now;
    s->active = true;
    s->next_tick_ms = MIN(s->next_tick_ms, now + STORE_TICK_MS);
    run_batch(s);
}
