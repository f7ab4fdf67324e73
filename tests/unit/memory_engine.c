#include <assert.h>
#include <stdlib.h>

#include "bus/topic.h"
#include "memory_parts.h"

static void do_publish(struct memory_store *s, struct op_publish *op)
{
    if (op->forget && !memory_find(s, op->forget))
        kept_fail(&op->op, ENGINE_UNKNOWN, "there is no such message");
    else if (kept_store_all(s, &op->op, op->messages, op->count))
        kept_forget(s, op->forget);
}

/* ---------------------------------------------------------------- consumers */

static void do_stream(struct memory_store *s, struct op_stream *op)
{
    struct kept_stream *kept = kept_stream_named(s, op->name);
    if (!kept) {
        assert(s->stream_count < NAMES);
        kept = &s->streams[s->stream_count++];
        kept->name = kept_copy(op->name);
    }
    kept->work = op->work;
    kept->durability = op->durability;
    kept->max_bytes = op->max_bytes;
    kept->dedupe_window = (int64_t)op->dedupe_window;
}

static uint64_t before_start(const struct memory_store *s, const struct start *start)
{
    switch (start->kind) {
    case START_FIRST:
        return 0;
    case START_SEQ:
        return start->seq ? start->seq - 1 : 0;
    case START_TIME:
        for (size_t i = 0; i < s->count; i++)
            if (s->messages[i] && s->messages[i]->time_ms >= start->time_ms)
                return i;
        return s->count;
    default:
        return s->count;
    }
}

static int by_seq(const void *a, const void *b)
{
    const struct put_off *x = a, *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void list_put_off(const struct memory_store *s, const struct kept_consumer *c,
                         struct op_consumer *op)
{
    if (c->place_count)
        op->put_off = xcalloc(c->place_count, sizeof(*op->put_off));
    for (size_t i = 0; i < c->place_count; i++) {
        const struct kept_place *p = &c->places[i];
        const struct message *m = memory_find(s, p->seq);
        if (!p->put_off || !m)
            continue;
        op->put_off[op->put_off_count++] = (struct put_off){
            .seq = p->seq,
            .tries = p->tries,
            .due_ms = p->due_ms,
            .key = m->key.len ? kept_copy(m->key) : NULL,
        };
    }
    if (op->put_off_count) {
        qsort(op->put_off, op->put_off_count, sizeof(*op->put_off), by_seq);
        return;
    }
    xfree(op->put_off);
    op->put_off = NULL;
}

static void do_consumer(struct memory_store *s, struct op_consumer *op)
{
    char *stream = kept_copy(op->stream), *name = kept_copy(op->name);
    struct kept_consumer *c = (struct kept_consumer *)kept_consumer_named(s, stream, name);
    op->created = !c;
    if (!kept_stream_named(s, op->stream)) {
        kept_fail(&op->op, ENGINE_UNKNOWN, "there is no such stream");
        xfree(stream);
        xfree(name);
        return;
    }
    if (c) {
        xfree(stream);
        xfree(name);
    } else {
        assert(s->consumer_count < NAMES);
        c = &s->consumers[s->consumer_count++];
        *c = (struct kept_consumer){.id = (uint32_t)s->consumer_count,
                                    .epoch = 1,
                                    .stream = stream,
                                    .name = name,
                                    .hi = before_start(s, &op->start)};
    }
    for (size_t i = 0; i < c->pattern_count; i++)
        xfree(c->patterns[i]);
    c->patterns = xrealloc(c->patterns, op->pattern_count * sizeof(char *) + 1);
    c->pattern_count = op->pattern_count;
    for (size_t i = 0; i < op->pattern_count; i++)
        c->patterns[i] = kept_copy(op->patterns[i]);
    op->id = c->id;
    for (size_t i = 0; i < c->place_count; i++)
        op->open += !c->places[i].put_off && !c->places[i].delivered;
    list_put_off(s, c, op);
}

static bool find_consumer(struct memory_store *s, struct op *op, uint32_t id,
                          struct kept_consumer **c)
{
    *c = kept_consumer_of(s, id);
    if (!*c)
        kept_fail(op, ENGINE_UNKNOWN, "there is no such consumer");
    return *c != NULL;
}

/* By a consumer that has not settled it. */
static bool is_wanted(const struct memory_store *s, const struct message *m)
{
    for (size_t i = 0; m && i < s->consumer_count; i++) {
        const struct kept_consumer *c = &s->consumers[i];
        if (c->id && kept_takes(c, m) && (m->seq > c->hi || kept_place_of(c, m->seq)))
            return true;
    }
    return false;
}

static void do_settle(struct memory_store *s, struct op_settle *op)
{
    struct kept_consumer *c;
    if (!find_consumer(s, &op->op, op->consumer, &c))
        return;
    struct kept_place *p = kept_place_of(c, op->seq);
    if (!p) {
        kept_fail(&op->op, ENGINE_UNKNOWN, "it is not with that consumer");
        return;
    }
    if (!kept_store_all(s, &op->op, op->outputs, op->output_count))
        return;
    if (op->how == SETTLE_LATER) {
        p = kept_place_of(c, op->seq);
        *p = (struct kept_place){
            .seq = op->seq, .put_off = true, .tries = op->tries, .due_ms = op->due_ms};
        return;
    }
    kept_place_remove(c, op->seq);
    struct kept_stream *stream = kept_stream_named(s, slice_of(c->stream));
    if (stream->work && !is_wanted(s, memory_find(s, op->seq)))
        kept_forget(s, op->seq);
}

static void deliver(struct memory_store *s, struct kept_consumer *c, uint64_t seq,
                    uint32_t tries)
{
    struct engine *e = &s->engine->engine;
    const struct delivery_note note = {message_hold(memory_find(s, seq)), c->id, c->epoch,
                                       tries};
    e->events->deliver(e, &note, 1);
}

static void do_take(struct memory_store *s, struct op_take *op)
{
    struct kept_consumer *c;
    if (!find_consumer(s, &op->op, op->consumer, &c))
        return;
    for (size_t i = 0; i < op->count; i++) {
        struct kept_place *p = kept_place_of(c, op->seqs[i]);
        if (p && p->put_off && memory_find(s, p->seq))
            deliver(s, c, p->seq, p->tries);
        else
            kept_fail(&op->op, ENGINE_UNKNOWN, "it is not put off");
    }
}

static void do_seek(struct memory_store *s, struct op_seek *op)
{
    struct kept_consumer *c;
    if (!find_consumer(s, &op->op, op->consumer, &c))
        return;
    c->place_count = 0;
    c->hi = before_start(s, &op->start);
    op->epoch = ++c->epoch;
}

/* All that is of it; its declaration stays when it is only emptied. */
static void empty_stream(struct memory_store *s, struct slice name)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->messages[i] && slice_eq(s->messages[i]->stream, name))
            kept_forget(s, i + 1);
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id && slice_is(name, s->consumers[i].stream))
            kept_consumer_clear(&s->consumers[i]);
}

static void drop_stream(struct memory_store *s, struct op_drop *op)
{
    struct kept_stream *stream = kept_stream_named(s, op->stream);
    if (!stream) {
        kept_fail(&op->op, ENGINE_UNKNOWN, "there is no such stream");
        return;
    }
    empty_stream(s, op->stream);
    xfree(stream->name);
    *stream = s->streams[--s->stream_count];
}

static void do_drop(struct memory_store *s, struct op_drop *op)
{
    struct kept_consumer *c;
    if (op->stream.len)
        drop_stream(s, op);
    else if (find_consumer(s, &op->op, op->consumer, &c))
        kept_consumer_clear(c);
}

/* --------------------------------------------------------------------- look */

static void turn_round(struct message **messages, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct message *m = messages[i];
        messages[i] = messages[count - 1 - i];
        messages[count - 1 - i] = m;
    }
}

static void do_read(struct memory_store *s, struct op_read *op)
{
    size_t n = op->limit;
    if (op->stream.len && !kept_stream_named(s, op->stream)) {
        kept_fail(&op->op, ENGINE_UNKNOWN, "there is no such stream");
        return;
    }
    op->messages = xcalloc(n + 1, sizeof(struct message *));
    bool last = op->from.kind == START_NEW;
    uint64_t from = last ? 0 : before_start(s, &op->from);
    for (size_t i = 0; i < s->count && op->count < n; i++) {
        size_t at = op->backwards || last ? s->count - 1 - i : i;
        struct message *m = s->messages[at];
        if (!m || m->seq <= from || (op->before && m->seq >= op->before) ||
            (op->stream.len && !slice_eq(op->stream, m->stream)) ||
            (op->pattern.len && !topic_matches(op->pattern, m->topic)))
            continue;
        op->messages[op->count++] = message_hold(m);
    }
    if (last && !op->backwards)
        turn_round(op->messages, op->count);
}

static struct slice keep(struct arena *arena, const char *text)
{
    return arena_copy(arena, slice_of(text));
}

static void look_at(const struct memory_store *s, const struct kept_consumer *c,
                    struct consumer_info *info, struct arena *arena)
{
    *info = (struct consumer_info){.id = c->id,
                                   .name = keep(arena, c->name),
                                   .stream = keep(arena, c->stream),
                                   .hi = c->hi,
                                   .lag = c->place_count};
    for (size_t i = 0; i < c->place_count; i++) {
        info->open += !c->places[i].put_off;
        info->put_off += c->places[i].put_off;
        const struct message *m = memory_find(s, c->places[i].seq);
        if (m && (!info->oldest_ms || m->time_ms < info->oldest_ms))
            info->oldest_ms = m->time_ms;
    }
    for (size_t i = (size_t)c->hi; i < s->count; i++)
        info->lag += s->messages[i] && kept_takes(c, s->messages[i]);
}

static void do_info(struct memory_store *s, struct op_info *op)
{
    op->streams = arena_alloc(op->arena, sizeof(*op->streams) * (s->stream_count + 1));
    op->consumers = arena_alloc(op->arena, sizeof(*op->consumers) * (s->consumer_count + 1));
    for (size_t i = 0; i < s->stream_count; i++)
        op->streams[op->stream_count++] = (struct stream_info){
            .name = keep(op->arena, s->streams[i].name),
            .work = s->streams[i].work,
            .durability = s->streams[i].durability,
            .messages = memory_count(s, slice_of(s->streams[i].name)),
            .max_bytes = s->streams[i].max_bytes,
        };
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id)
            look_at(s, &s->consumers[i], &op->consumers[op->consumer_count++], op->arena);
    op->delayed = s->delayed_count;
}

/* ------------------------------------------------------------------- engine */

static void run_op(struct memory_store *s, struct op *op)
{
    switch (op->kind) {
    case OP_STREAM:
        do_stream(s, container_of(op, struct op_stream, op));
        break;
    case OP_CONSUMER:
        do_consumer(s, container_of(op, struct op_consumer, op));
        break;
    case OP_PUBLISH:
        do_publish(s, container_of(op, struct op_publish, op));
        break;
    case OP_CREDIT: {
        struct op_credit *credit = container_of(op, struct op_credit, op);
        struct kept_consumer *c;
        if (find_consumer(s, op, credit->consumer, &c))
            c->credit += credit->more;
        break;
    }
    case OP_TAKE:
        do_take(s, container_of(op, struct op_take, op));
        break;
    case OP_SETTLE:
        do_settle(s, container_of(op, struct op_settle, op));
        break;
    case OP_SEEK:
        do_seek(s, container_of(op, struct op_seek, op));
        break;
    case OP_DROP:
        do_drop(s, container_of(op, struct op_drop, op));
        break;
    case OP_READ:
        do_read(s, container_of(op, struct op_read, op));
        break;
    case OP_INFO:
        do_info(s, container_of(op, struct op_info, op));
        break;
    default:
        kept_fail(op, ENGINE_INVALID, "this engine cannot do that");
    }
}

static bool fails(struct memory_store *s, struct op *op)
{
    if (s->frozen) {
        kept_fail(op, ENGINE_BROKEN, "the power is off");
        return true;
    }
    if (!s->failures || (op->kind != OP_PUBLISH && op->kind != OP_SETTLE))
        return false;
    s->failures--;
    kept_fail(op, s->failure, s->failure == ENGINE_FULL ? "it is full" : "it is broken");
    return true;
}

/* What was open when it was opened comes first. */
static void feed(struct memory_store *s, struct kept_consumer *c)
{
    for (size_t i = 0; i < c->place_count && c->credit; i++)
        if (!c->places[i].put_off && !c->places[i].delivered) {
            c->places[i].delivered = true;
            c->credit--;
            deliver(s, c, c->places[i].seq, c->places[i].tries);
        }
    while (c->hi < s->count && c->credit) {
        struct message *m = s->messages[c->hi++];
        if (!m || !kept_takes(c, m))
            continue;
        kept_place_add(c, m->seq)->delivered = true;
        c->credit--;
        deliver(s, c, m->seq, 0);
    }
}

static void fall_due(struct memory_store *s)
{
    size_t kept = 0;
    int64_t now = kept_now_ms();
    for (size_t i = 0; i < s->delayed_count; i++) {
        struct message *m = s->delayed[i];
        if (m->due_ms > now) {
            s->delayed[kept++] = m;
            continue;
        }
        kept_append(s, m);
        message_release(m);
    }
    s->delayed_count = kept;
}

static void on_tick(struct timer *t);

static void run_all(struct memory_engine *e)
{
    struct memory_store *s = e->store;
    struct list now;
    list_init(&now);
    list_splice(&now, &e->ops);
    while (!list_empty(&now)) {
        struct op *op = list_first(&now, struct op, node);
        list_del(&op->node);
        op->status = ENGINE_OK;
        op->error[0] = '\0';
        s->ops[op->kind]++;
        if (!fails(s, op))
            run_op(s, op);
        if (op->done)
            op->done(op);
    }
    if (s->frozen)
        return;
    fall_due(s);
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id)
            feed(s, &s->consumers[i]);
    if (s->delayed_count)
        timer_start(e->loop, &e->tick, 1, on_tick);
}

static void on_task(struct task *task)
{
    struct memory_engine *e = container_of(task, struct memory_engine, task);
    if (e->store->held)
        return;
    run_all(e);
    if (!list_empty(&e->ops))
        loop_defer_next(e->loop, &e->task);
    else if (e->closing) {
        timer_stop(e->loop, &e->tick);
        timer_stop(e->loop, &e->alive);
        task_cancel(&e->task); /* it may be the last op that has closed the engine */
        e->store->engine = NULL;
        e->engine.events->closed(&e->engine);
    }
}

static void on_alive(struct timer *t)
{
    struct memory_engine *e = container_of(t, struct memory_engine, alive);
    timer_start(e->loop, t, 1, on_alive);
}

static void on_tick(struct timer *t)
{
    struct memory_engine *e = container_of(t, struct memory_engine, tick);
    loop_defer_next(e->loop, &e->task);
}

static void submit(struct engine *engine, struct op *op)
{
    struct memory_engine *e = container_of(engine, struct memory_engine, engine);
    assert(!e->closing);
    list_add(&e->ops, &op->node);
    loop_defer_next(e->loop, &e->task);
}

static void close_engine(struct engine *engine)
{
    struct memory_engine *e = container_of(engine, struct memory_engine, engine);
    e->closing = true;
    loop_defer_next(e->loop, &e->task);
}

static const struct engine_ops ops = {.submit = submit, .close = close_engine};

void memory_store_hold(struct memory_store *s, bool held)
{
    s->held = held;
    loop_defer_next(s->engine->loop, &s->engine->task);
}

void memory_store_discard(struct memory_store *s, uint64_t seq)
{
    struct engine *e = &s->engine->engine;
    kept_forget(s, seq);
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id)
            e->events->gap(e, s->consumers[i].id, seq, seq);
}

struct engine *memory_engine_open(struct loop *loop, const struct engine_events *events,
                                  void *owner, const void *how, struct err *err)
{
    struct memory_engine *e = xcalloc(1, sizeof(*e));
    (void)err;
    e->engine = (struct engine){
        .ops = &ops,
        .events = events,
        .owner = owner,
        .caps = {.name = "memory",
                 .strongest = DURABILITY_MEMORY,
                 .dedupe = true,
                 .replay = true,
                 .delay = true,
                 .atomic_outputs = true,
                 .key_order = true,
                 .max_data = MESSAGE_DATA_MAX},
    };
    e->loop = loop;
    e->store = (struct memory_store *)how;
    e->store->engine = e;
    e->store->frozen = false;
    list_init(&e->ops);
    task_init(&e->task, on_task);
    timer_start(loop, &e->alive, 1, on_alive);
    for (size_t i = 0; i < e->store->stream_count; i++)
        if (e->store->streams[i].durability == DURABILITY_MEMORY)
            empty_stream(e->store, slice_of(e->store->streams[i].name));
    for (size_t i = 0; i < e->store->consumer_count; i++) {
        struct kept_consumer *c = &e->store->consumers[i];
        c->credit = 0;
        c->epoch = 1;
        for (size_t n = 0; n < c->place_count; n++)
            c->places[n].delivered = false;
    }
    return &e->engine;
}

void memory_engine_free(struct engine *engine)
{
    xfree(container_of(engine, struct memory_engine, engine));
}
