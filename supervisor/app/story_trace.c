/*
 * One story by its correlation, from the store and from memory: a part of story.h.
 *
 * The store has no index of correlations: its messages are looked at, from the story's first
 * on when that is known by its seq, else from the newest backwards; no more than so many.
 */
#include <stdlib.h>

#include "app/control_bus_parts.h"
#include "app/story.h"
#include "http/path.h"

enum {
    PAGE = 1000,       /* messages at a time, which is all that one op reads */
    PAGES_MAX = 200,   /* then the rest is left out, and that is told */
    FOUND_MAX = 10000, /* messages of one story */
};

struct tracing {
    struct bus_job job;
    struct op_read op;
    struct story *story;
    char *id;
    char *correlation; /* NULL: it is not known yet of which the id is */
    struct message **found;
    size_t count;
    unsigned pages;
    bool whole; /* nothing was left out */
};

static void read_page(struct tracing *);

static struct slice correlation_of(const struct message *m, char *text)
{
    return m->correlation.len ? m->correlation : message_id(m, text);
}

static bool is_of(const struct tracing *t, const struct message *m)
{
    char text[MESSAGE_ID_MAX + 1];
    return slice_is(correlation_of(m, text), t->correlation);
}

/* Its seq, or the id that its publisher gave it. */
static bool is_meant(const struct tracing *t, const struct message *m)
{
    char text[MESSAGE_ID_MAX + 1];
    uint64_t seq = 0;
    return slice_is(message_id(m, text), t->id) ||
           (slice_to_u64(slice_of(t->id), INT64_MAX, &seq) && m->seq == seq);
}

static void keep(struct tracing *t, struct message *m)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->found[i]->seq == m->seq)
            return;
    if (t->count == FOUND_MAX) {
        t->whole = false;
        return;
    }
    if ((t->count & (t->count - 1)) == 0)
        t->found = xrealloc(t->found, MAX(t->count * 2, 16u) * sizeof(struct message *));
    t->found[t->count++] = message_hold(m);
}

static struct message *recent(const struct story *s, size_t n)
{
    return s->messages[(s->first + n) % STORY_MESSAGES];
}

/* -------------------------------------------------------------------------- the answer */

static int compare(const void *a, const void *b)
{
    const struct message *x = *(struct message *const *)a, *y = *(struct message *const *)b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void write_ends(const struct story *s, uint64_t seq, struct buf *out)
{
    const char *before = "";
    buf_adds(out, ",\"ends\":[");
    for (size_t i = 0; i < s->end_count; i++) {
        const struct story_end *end = &s->ends[(s->end_first + i) % STORY_ENDS];
        if (end->seq != seq)
            continue;
        buf_adds(out, before);
        story_write_end(s, end, out);
        before = ",";
    }
    buf_adds(out, "]}");
}

static void write_story(struct tracing *t, struct buf *out)
{
    qsort(t->found, t->count, sizeof(*t->found), compare);
    buf_adds(out, "{\"correlation\":");
    json_write(out, slice_of(t->correlation));
    buf_addf(out, ",\"whole\":%s,\"messages\":[", t->whole ? "true" : "false");
    for (size_t i = 0; i < t->count; i++) {
        buf_adds(out, i ? ",\n" : "\n");
        size_t from = out->len;
        story_write_message(t->found[i], out);
        out->ptr[from] = '{'; /* in place of the comma that it begins with */
        write_ends(t->story, t->found[i]->seq, out);
    }
    buf_adds(out, "]}\n");
}

static void finish(struct tracing *t)
{
    struct exchange *x = bus_job_end(&t->job);
    struct buf out = {0};
    if (x && t->count) {
        write_story(t, &out);
        control_answer(x, buf_slice(&out));
    } else if (x) {
        buf_addf(&out,
                 "no message has the id or the correlation %.100s%s; nodey events list shows "
                 "what there is",
                 t->id, t->whole ? "" : " among the newest");
        control_refuse(x, 404, "not_found", buf_slice(&out), (struct slice){0});
    }
    for (size_t i = 0; i < t->count; i++)
        message_release(t->found[i]);
    buf_deinit(&out);
    xfree(t->found);
    xfree(t->id);
    xfree(t->correlation);
    xfree(t);
}

/* --------------------------------------------------------------------------- the search */

/* What was handled and deleted is in memory only; what is older only in the store. */
static void look_in_memory(struct tracing *t)
{
    const struct story *s = t->story;
    for (size_t i = 0; i < s->count && !t->correlation; i++)
        if (is_meant(t, recent(s, i))) {
            char text[MESSAGE_ID_MAX + 1];
            struct slice found = correlation_of(recent(s, i), text);
            t->correlation = xstrndup(found.ptr, found.len);
        }
    for (size_t i = 0; i < s->count && t->correlation; i++)
        if (is_of(t, recent(s, i)))
            keep(t, recent(s, i));
}

static void release_page(struct tracing *t)
{
    for (size_t i = 0; i < t->op.count; i++)
        message_release(t->op.messages[i]);
    xfree(t->op.messages);
    t->op.messages = NULL;
    t->op.count = 0;
}

static void begin_search(struct tracing *t)
{
    uint64_t seq = 0;
    bool from_first = slice_to_u64(slice_of(t->correlation), INT64_MAX, &seq) && seq;
    t->op = (struct op_read){.op = t->op.op,
                             .from = {.kind = from_first ? START_SEQ : START_NEW, .seq = seq},
                             .backwards = !from_first,
                             .limit = PAGE};
    t->pages = 0;
    read_page(t);
}

/* The message itself was asked for, and says of which story it is. */
static void on_first(struct op *op)
{
    struct tracing *t = container_of(op, struct tracing, op.op);
    char text[MESSAGE_ID_MAX + 1];
    struct slice found = slice_of(t->id);
    if (t->op.count && is_meant(t, t->op.messages[0]))
        found = correlation_of(t->op.messages[0], text);
    t->correlation = xstrndup(found.ptr, found.len);
    release_page(t);
    begin_search(t);
}

static void on_page(struct op *op)
{
    struct tracing *t = container_of(op, struct tracing, op.op);
    size_t count = t->op.count;
    bool backwards = t->op.backwards, more = count == PAGE || t->op.next;
    uint64_t last = count ? t->op.messages[count - 1]->seq : t->op.next;
    for (size_t i = 0; i < count; i++)
        if (is_of(t, t->op.messages[i]))
            keep(t, t->op.messages[i]);
    release_page(t);
    if (!t->job.exchange || op->status != ENGINE_OK || !more || !last) {
        finish(t);
        return;
    }
    if (++t->pages == PAGES_MAX) {
        t->whole = false;
        finish(t);
        return;
    }
    if (backwards)
        t->op.before = last;
    else
        t->op.from.seq = count ? last + 1 : last;
    t->op.next = 0;
    read_page(t);
}

static void read_page(struct tracing *t)
{
    t->op.op = (struct op){.kind = OP_READ, .done = t->correlation ? on_page : on_first};
    engine_submit(bus_engine(t->story->events->bus), &t->op.op);
}

void story_trace(struct story *s, struct exchange *x, struct slice id)
{
    struct events *e = s->events;
    struct slice word;
    uint64_t seq = 0;
    if (!path_decode(id, exchange_arena(x), &word) || !word.len || word.len > MESSAGE_ID_MAX) {
        control_invalid(x, "an id has 1 to %d bytes", MESSAGE_ID_MAX);
        return;
    }
    struct tracing *t = xcalloc(1, sizeof(*t));
    t->story = s;
    t->whole = true;
    t->id = xstrndup(word.ptr, word.len);
    bus_job_begin(&t->job, x);
    look_in_memory(t);
    if (!e->bus || e->closing) {
        t->correlation = t->correlation ? t->correlation : xstrdup(t->id);
        finish(t);
    } else if (t->correlation) {
        begin_search(t);
    } else if (slice_to_u64(word, INT64_MAX, &seq) && seq) {
        t->op = (struct op_read){.from = {.kind = START_SEQ, .seq = seq}, .limit = 1};
        read_page(t);
    } else {
        t->correlation = xstrdup(t->id);
        begin_search(t);
    }
}
