#include "desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 5000 };

/* ------------------------------------------------------------------- events */

static void on_deliver(struct engine *e, const struct delivery_note *notes, size_t count)
{
    struct desk *d = e->owner;
    for (size_t i = 0; i < count; i++) {
        if (d->note_count == d->note_cap) {
            d->note_cap = d->note_cap ? 2 * d->note_cap : 64;
            d->notes = xrealloc(d->notes, d->note_cap * sizeof(*d->notes));
        }
        d->notes[d->note_count++] = notes[i];
    }
}

static void on_stored(struct engine *e, struct message *const *messages, size_t count)
{
    struct desk *d = e->owner;
    for (size_t i = 0; i < count; i++)
        if (d->stored_count < 256)
            d->stored[d->stored_count++] = messages[i]->seq;
}

static void on_gap(struct engine *e, uint32_t consumer, uint64_t from, uint64_t to)
{
    struct desk *d = e->owner;
    if (d->gap_count < 64)
        d->gaps[d->gap_count++] = (struct desk_gap){consumer, from, to};
}

static void on_tell(struct engine *e, int level, const char *sentence)
{
    struct desk *d = e->owner;
    buf_addf(&d->told, "%d %s\n", level, sentence);
}

static void on_closed(struct engine *e)
{
    struct desk *d = e->owner;
    d->closed = true;
}

static const struct engine_events EVENTS = {on_deliver, on_stored, on_gap, on_tell, on_closed};

/* --------------------------------------------------------------- open, close */

bool desk_try_open(struct desk *d, const struct engine_kind *kind, const char *dir,
                   struct err *err)
{
    *d = (struct desk){.kind = kind};
    assert_int_equal(loop_init(&d->loop), 0);
    d->engine = kind->open(&d->loop, dir, &EVENTS, d, err);
    if (!d->engine)
        assert_int_equal(loop_deinit(&d->loop), 0);
    return d->engine != NULL;
}

void desk_open(struct desk *d, const struct engine_kind *kind, const char *dir)
{
    struct err err = {0};
    if (!desk_try_open(d, kind, dir, &err))
        fail_msg("%s", err.text);
}

void desk_close(struct desk *d)
{
    d->engine->ops->close(d->engine);
    while (!d->closed)
        uv_run(&d->loop.uv, UV_RUN_ONCE);
    d->kind->free(d->engine);
    assert_int_equal(loop_deinit(&d->loop), 0);
    for (size_t i = 0; i < d->note_count; i++)
        message_release(d->notes[i].message);
    xfree(d->notes);
    buf_deinit(&d->told);
}

void desk_reopen(struct desk *d, const char *dir)
{
    const struct engine_kind *kind = d->kind;
    desk_close(d);
    desk_open(d, kind, dir);
}

/* ---------------------------------------------------------------------- ops */

static void on_done(struct op *op)
{
    list_init(&op->node);
    op->done = NULL;
}

void desk_submit(struct desk *d, struct op *op, enum op_kind kind)
{
    op->kind = kind;
    op->done = on_done;
    engine_submit(d->engine, op);
}

enum engine_status desk_wait(struct desk *d, struct op *op)
{
    while (op->done)
        uv_run(&d->loop.uv, UV_RUN_ONCE);
    memcpy(d->error, op->error, sizeof(d->error));
    return op->status;
}

enum engine_status desk_do(struct desk *d, struct op *op, enum op_kind kind)
{
    desk_submit(d, op, kind);
    return desk_wait(d, op);
}

enum engine_status desk_declare(struct desk *d, struct op_stream op)
{
    return desk_do(d, &op.op, OP_STREAM);
}

static void declare(struct desk *d, const char *name, bool work)
{
    enum engine_status status = desk_declare(d, (struct op_stream){.name = slice_of(name),
                                                                   .work = work,
                                                                   .max_bytes = 1 << 30,
                                                                   .dedupe_window = 120000});
    if (status != ENGINE_OK)
        fail_msg("%s", d->error);
}

void desk_stream(struct desk *d, const char *name)
{
    declare(d, name, false);
}

void desk_queue(struct desk *d, const char *name)
{
    declare(d, name, true);
}

uint32_t desk_consumer(struct desk *d, const char *stream, const char *name,
                       const char *patterns, struct start start, struct op_consumer *out)
{
    struct slice cut[16];
    size_t count = 0;
    for (const char *at = patterns; *at;) {
        size_t len = strcspn(at, " ");
        cut[count++] = (struct slice){at, len};
        at += len + strspn(at + len, " ");
    }
    struct op_consumer op = {.stream = slice_of(stream),
                             .name = slice_of(name),
                             .config = SLICE("{}"),
                             .patterns = cut,
                             .pattern_count = count,
                             .start = start};
    if (desk_do(d, &op.op, OP_CONSUMER) != ENGINE_OK)
        fail_msg("%s", d->error);
    if (out)
        *out = op;
    else
        desk_forget_put_off(&op);
    return op.id;
}

void desk_forget_put_off(struct op_consumer *op)
{
    for (size_t i = 0; i < op->put_off_count; i++)
        xfree(op->put_off[i].key);
    xfree(op->put_off);
}

enum engine_status desk_publish(struct desk *d, struct message_parts parts)
{
    struct message *m = message_new(&parts);
    struct op_publish op = {.messages = &m, .count = 1};
    enum engine_status status = desk_do(d, &op.op, OP_PUBLISH);
    d->last_seq = m->seq;
    d->duplicate = m->duplicate;
    message_release(m);
    return status;
}

uint64_t desk_put(struct desk *d, const char *stream, const char *topic, const char *data)
{
    enum engine_status status = desk_publish(
        d, (struct message_parts){
               .stream = slice_of(stream), .topic = slice_of(topic), .data = slice_of(data)});
    if (status != ENGINE_OK)
        fail_msg("%s", d->error);
    return d->last_seq;
}

void desk_credit(struct desk *d, uint32_t consumer, uint32_t more)
{
    struct op_credit op = {.consumer = consumer, .more = more};
    assert_int_equal(desk_do(d, &op.op, OP_CREDIT), ENGINE_OK);
}

enum engine_status desk_settle(struct desk *d, uint32_t consumer, uint64_t seq)
{
    struct op_settle op = {.consumer = consumer, .seq = seq, .how = SETTLE_DONE};
    return desk_do(d, &op.op, OP_SETTLE);
}

enum engine_status desk_later(struct desk *d, uint32_t consumer, uint64_t seq, uint32_t tries,
                              int64_t due_ms)
{
    struct op_settle op = {.consumer = consumer,
                           .seq = seq,
                           .how = SETTLE_LATER,
                           .tries = tries,
                           .due_ms = due_ms,
                           .why = SLICE("Error: it failed")};
    return desk_do(d, &op.op, OP_SETTLE);
}

enum engine_status desk_take(struct desk *d, uint32_t consumer, uint64_t seq)
{
    struct op_take op = {.consumer = consumer, .seqs = &seq, .count = 1};
    return desk_do(d, &op.op, OP_TAKE);
}

uint32_t desk_seek(struct desk *d, uint32_t consumer, struct start start)
{
    struct op_seek op = {.consumer = consumer, .start = start};
    if (desk_do(d, &op.op, OP_SEEK) != ENGINE_OK)
        fail_msg("%s", d->error);
    return op.epoch;
}

/* ---------------------------------------------------------------- deliveries */

static bool find(struct desk *d, uint32_t consumer, struct delivery_note *out)
{
    for (size_t i = 0; i < d->note_count; i++) {
        if (d->notes[i].consumer != consumer)
            continue;
        *out = d->notes[i];
        memmove(d->notes + i, d->notes + i + 1, (--d->note_count - i) * sizeof(*d->notes));
        return true;
    }
    return false;
}

struct delivery_note desk_next(struct desk *d, uint32_t consumer)
{
    struct delivery_note note;
    uint64_t until = loop_clock_ns() + PATIENCE_MS * UINT64_C(1000000);
    while (!find(d, consumer, &note)) {
        if (loop_clock_ns() > until)
            fail_msg("no delivery for consumer %u; told: %s", consumer, buf_cstr(&d->told));
        if (!uv_run(&d->loop.uv, UV_RUN_NOWAIT))
            fail_msg("the engine has ended");
        usleep(50);
    }
    return note;
}

uint64_t desk_next_seq(struct desk *d, uint32_t consumer)
{
    struct delivery_note note = desk_next(d, consumer);
    uint64_t seq = note.message->seq;
    message_release(note.message);
    return seq;
}

static struct op_info info(struct desk *d, struct arena *arena)
{
    struct op_info op = {.arena = arena};
    assert_int_equal(desk_do(d, &op.op, OP_INFO), ENGINE_OK);
    return op;
}

/* Turns of the engine: one that reads piece by piece, with rests, has read all in as many. */
enum { TURNS = 1000, TURN_US = 100 };

void desk_fed(struct desk *d, uint32_t consumer, const char *stream)
{
    for (unsigned i = 0; i < TURNS; i++) {
        if (desk_consumer_info(d, consumer).hi >= desk_stream_info(d, stream).last)
            break;
        usleep(TURN_US);
    }
    desk_stream_info(d, stream); /* what was read before one answer has come with the next */
}

bool desk_awaits(struct desk *d)
{
    for (unsigned i = 0; i < TURNS && !d->note_count; i++) {
        desk_stream_info(d, "");
        usleep(TURN_US);
    }
    return d->note_count > 0;
}

/* What an earlier op lets loose comes at the latest with the op after the next. */
void desk_quiet(struct desk *d)
{
    struct arena arena = {0};
    for (unsigned i = 0; i < 3; i++)
        info(d, &arena);
    arena_deinit(&arena);
    if (d->note_count)
        fail_msg("message %llu came to consumer %u, and nothing should",
                 (unsigned long long)d->notes[0].message->seq, d->notes[0].consumer);
}

/* --------------------------------------------------------------------- looks */

struct op_read desk_read(struct desk *d, struct op_read op)
{
    op.limit = op.limit ? op.limit : 1000;
    if (desk_do(d, &op.op, OP_READ) != ENGINE_OK)
        fail_msg("%s", d->error);
    return op;
}

void desk_read_free(struct op_read *op)
{
    for (size_t i = 0; i < op->count; i++)
        message_release(op->messages[i]);
    xfree(op->messages);
}

size_t desk_count(struct desk *d, const char *stream)
{
    struct op_read op =
        desk_read(d, (struct op_read){.stream = slice_of(stream), .from = FROM_FIRST});
    desk_read_free(&op);
    return op.count;
}

struct stream_info desk_stream_info(struct desk *d, const char *stream)
{
    struct arena arena = {0};
    struct op_info op = info(d, &arena);
    struct stream_info found = {0};
    for (size_t i = 0; i < op.stream_count; i++)
        if (slice_is(op.streams[i].name, stream))
            found = op.streams[i];
    found.name = slice_of(stream);
    arena_deinit(&arena);
    return found;
}

struct consumer_info desk_consumer_info(struct desk *d, uint32_t consumer)
{
    struct arena arena = {0};
    struct op_info op = info(d, &arena);
    struct consumer_info found = {0};
    for (size_t i = 0; i < op.consumer_count; i++)
        if (op.consumers[i].id == consumer)
            found = op.consumers[i];
    found.name = found.stream = (struct slice){0};
    arena_deinit(&arena);
    return found;
}
