/* Each op by its kind, and which of those that wait are done together. */
#include "bus/store_core.h"

/* The strictest of the streams that there are, unless some want less: then of those named. */
static enum durability level_of(struct store *s)
{
    enum durability level = DURABILITY_OS;
    list_each (at, &s->streams) {
        if (container_of(at, struct stream, all)->durability == DURABILITY_FSYNC)
            level = DURABILITY_FSYNC;
    }
    return level;
}

static bool any_os(struct store *s)
{
    list_each (at, &s->streams) {
        if (container_of(at, struct stream, all)->durability == DURABILITY_OS)
            return true;
    }
    return false;
}

static bool wants_fsync(struct store *s, struct message **messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = store_stream(s, messages[i]->stream);
        if (!stream || stream->durability == DURABILITY_FSYNC)
            return true;
    }
    return false;
}

static bool op_wants_fsync(struct store *s, struct op *op)
{
    if (op->kind == OP_PUBLISH) {
        struct op_publish *publish = container_of(op, struct op_publish, op);
        return publish->forget || wants_fsync(s, publish->messages, publish->count);
    }
    if (op->kind == OP_SETTLE) {
        struct op_settle *settle = container_of(op, struct op_settle, op);
        struct consumer *c = store_consumer(s, settle->consumer);
        return (c && c->stream->durability == DURABILITY_FSYNC) ||
               wants_fsync(s, settle->outputs, settle->output_count);
    }
    return op->kind <= OP_DROP || op->kind == OP_SEEK;
}

enum durability store_level(struct store *s)
{
    if (!any_os(s) || list_empty(&s->batch.ops) || s->batch.due)
        return level_of(s);
    list_each (at, &s->batch.ops) {
        if (op_wants_fsync(s, container_of(at, struct op, node)))
            return DURABILITY_FSYNC;
    }
    return DURABILITY_OS;
}

static void unnumber(struct message **messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        messages[i]->seq = 0;
        messages[i]->duplicate = false;
    }
}

/* What it was given is taken back. */
void store_clear_op(struct op *op)
{
    if (op->kind == OP_PUBLISH) {
        struct op_publish *publish = container_of(op, struct op_publish, op);
        unnumber(publish->messages, publish->count);
    } else if (op->kind == OP_SETTLE) {
        struct op_settle *settle = container_of(op, struct op_settle, op);
        unnumber(settle->outputs, settle->output_count);
    } else if (op->kind == OP_CONSUMER) {
        struct op_consumer *consumer = container_of(op, struct op_consumer, op);
        for (size_t i = 0; i < consumer->put_off_count; i++)
            xfree(consumer->put_off[i].key);
        xfree(consumer->put_off);
        consumer->put_off = NULL;
        consumer->put_off_count = 0;
    }
}

void store_fail_ops(struct store *s, struct list *ops, enum engine_status status)
{
    list_each (at, ops) {
        struct op *op = container_of(at, struct op, node);
        store_clear_op(op);
        store_refuse(op, status, "%s: %s",
                     status == ENGINE_FULL ? "the disk is full" : "the store has failed",
                     s->db.why);
    }
}

int store_do_op(struct store *s, struct op *op)
{
    op->status = ENGINE_OK;
    op->error[0] = '\0';
    switch (op->kind) {
    case OP_PUBLISH:
        return store_do_publish(s, container_of(op, struct op_publish, op));
    case OP_SETTLE:
        return store_do_settle(s, container_of(op, struct op_settle, op));
    case OP_STREAM:
        return store_do_stream(s, container_of(op, struct op_stream, op));
    case OP_CONSUMER:
        return store_do_consumer(s, container_of(op, struct op_consumer, op));
    case OP_SEEK:
        return store_do_seek(s, container_of(op, struct op_seek, op));
    case OP_DROP: {
        struct op_drop *drop = container_of(op, struct op_drop, op);
        return drop->consumer ? store_drop_consumer(s, drop) : store_drop_stream(s, drop);
    }
    default:
        return 0; /* see store_after_commit() */
    }
}

/* What changes nothing on disk comes after the commit, so that it is not to be undone. */
void store_after_commit(struct store *s, struct op *op)
{
    struct parcel *p = s->batch.parcel;
    struct op_credit *credit;
    struct consumer *c;
    switch ((int)op->kind) {
    case OP_CREDIT:
        credit = container_of(op, struct op_credit, op);
        c = store_consumer(s, credit->consumer);
        if (c)
            c->credit += credit->more;
        else
            store_refuse(op, ENGINE_UNKNOWN, "there is no consumer %u", credit->consumer);
        break;
    case OP_TAKE:
        store_do_take(s, container_of(op, struct op_take, op), p);
        break;
    case OP_READ:
        store_do_read(s, container_of(op, struct op_read, op));
        break;
    case OP_INFO:
        store_do_info(s, container_of(op, struct op_info, op));
        break;
    case OP_QUERY:
        store_do_query(s, container_of(op, struct op_query, op));
        break;
    case OP_BACKUP:
        store_do_backup(s, container_of(op, struct op_backup, op));
        break;
    case LETTER_CLOSE:
        s->closing = true;
        break;
    default:
        break;
    }
}

static size_t op_bytes(struct op *op)
{
    struct message **messages = NULL;
    size_t count = 0, bytes = 0;
    if (op->kind == OP_PUBLISH) {
        messages = container_of(op, struct op_publish, op)->messages;
        count = container_of(op, struct op_publish, op)->count;
    } else if (op->kind == OP_SETTLE) {
        messages = container_of(op, struct op_settle, op)->outputs;
        count = container_of(op, struct op_settle, op)->output_count;
    }
    for (size_t i = 0; i < count; i++)
        bytes += messages[i]->size;
    return bytes;
}

static bool goes_alone(const struct op *op)
{
    return op->kind == OP_STREAM || op->kind == OP_CONSUMER || op->kind == OP_DROP ||
           op->kind == OP_SEEK || op->kind == OP_QUERY || op->kind == OP_BACKUP ||
           (int)op->kind == LETTER_CLOSE;
}

/* True when something is published. */
bool store_take_ops(struct store *s)
{
    size_t count = 0, bytes = 0;
    bool publishes = false;
    while (!list_empty(&s->queue) && count < STORE_BATCH_OPS && bytes < STORE_BATCH_BYTES) {
        struct op *op = list_first(&s->queue, struct op, node);
        if (goes_alone(op) && count)
            break;
        list_del(&op->node);
        list_add(&s->batch.ops, &op->node);
        publishes |= op->kind == OP_PUBLISH;
        bytes += op_bytes(op);
        count++;
        if (goes_alone(op))
            break;
    }
    return publishes;
}
