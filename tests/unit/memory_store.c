#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/topic.h"
#include "memory_parts.h"

int64_t kept_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

char *kept_copy(struct slice s)
{
    return xstrndup(s.len ? s.ptr : "", s.len);
}

/* -------------------------------------------------------------------- store */

struct memory_store *memory_store_new(void)
{
    return xcalloc(1, sizeof(struct memory_store));
}

void kept_consumer_clear(struct kept_consumer *c)
{
    for (size_t i = 0; i < c->pattern_count; i++)
        xfree(c->patterns[i]);
    xfree(c->patterns);
    xfree(c->places);
    xfree(c->stream);
    xfree(c->name);
    *c = (struct kept_consumer){0};
}

void memory_store_free(struct memory_store *s)
{
    for (size_t i = 0; i < s->stream_count; i++)
        xfree(s->streams[i].name);
    for (size_t i = 0; i < s->consumer_count; i++)
        kept_consumer_clear(&s->consumers[i]);
    for (size_t i = 0; i < s->count; i++)
        message_release(s->messages[i]);
    for (size_t i = 0; i < s->delayed_count; i++)
        message_release(s->delayed[i]);
    xfree(s->messages);
    xfree(s->delayed);
    xfree(s);
}

void memory_store_freeze(struct memory_store *s)
{
    s->frozen = true;
}

void memory_store_fail(struct memory_store *s, unsigned count, enum engine_status status)
{
    s->failures = count;
    s->failure = status;
}

struct kept_stream *kept_stream_named(struct memory_store *s, struct slice name)
{
    for (size_t i = 0; i < s->stream_count; i++)
        if (slice_is(name, s->streams[i].name))
            return &s->streams[i];
    return NULL;
}

struct kept_consumer *kept_consumer_of(struct memory_store *s, uint32_t id)
{
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id == id && id)
            return &s->consumers[i];
    return NULL;
}

const struct kept_consumer *kept_consumer_named(const struct memory_store *s,
                                                const char *stream, const char *name)
{
    for (size_t i = 0; i < s->consumer_count; i++)
        if (s->consumers[i].id && !strcmp(s->consumers[i].stream, stream) &&
            !strcmp(s->consumers[i].name, name))
            return &s->consumers[i];
    return NULL;
}

struct kept_place *kept_place_of(const struct kept_consumer *c, uint64_t seq)
{
    for (size_t i = 0; i < c->place_count; i++)
        if (c->places[i].seq == seq)
            return &c->places[i];
    return NULL;
}

struct kept_place *kept_place_add(struct kept_consumer *c, uint64_t seq)
{
    c->places = xrealloc(c->places, (c->place_count + 1) * sizeof(*c->places));
    c->places[c->place_count] = (struct kept_place){.seq = seq};
    return &c->places[c->place_count++];
}

void kept_place_remove(struct kept_consumer *c, uint64_t seq)
{
    struct kept_place *p = kept_place_of(c, seq);
    if (!p)
        return;
    size_t at = (size_t)(p - c->places);
    memmove(p, p + 1, (--c->place_count - at) * sizeof(*p));
}

bool kept_takes(const struct kept_consumer *c, const struct message *m)
{
    if (!slice_is(m->stream, c->stream) || (m->only.len && !slice_is(m->only, c->name)))
        return false;
    for (size_t i = 0; i < c->pattern_count; i++)
        if (topic_matches(slice_of(c->patterns[i]), m->topic))
            return true;
    return false;
}

size_t memory_count(const struct memory_store *s, struct slice stream)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++)
        n += s->messages[i] && slice_eq(s->messages[i]->stream, stream);
    return n;
}

struct message *memory_find(const struct memory_store *s, uint64_t seq)
{
    return seq && seq <= s->count ? s->messages[seq - 1] : NULL;
}

uint64_t memory_last(const struct memory_store *s)
{
    return s->count;
}

bool memory_is_settled(const struct memory_store *s, const char *stream, const char *group,
                       uint64_t seq)
{
    const struct kept_consumer *c = kept_consumer_named(s, stream, group);
    return c && seq <= c->hi && !kept_place_of(c, seq);
}

static size_t count_places(const struct memory_store *s, const char *stream, const char *group,
                           bool put_off)
{
    const struct kept_consumer *c = kept_consumer_named(s, stream, group);
    size_t n = 0;
    for (size_t i = 0; c && i < c->place_count; i++)
        n += c->places[i].put_off == put_off;
    return n;
}

size_t memory_put_off(const struct memory_store *s, const char *stream, const char *group)
{
    return count_places(s, stream, group, true);
}

size_t memory_open_count(const struct memory_store *s, const char *stream, const char *group)
{
    return count_places(s, stream, group, false);
}

unsigned memory_ops(const struct memory_store *s, enum op_kind kind)
{
    return s->ops[kind];
}

/* ------------------------------------------------------------------ publish */

static bool is_same(const struct message *m, const struct message *other)
{
    return other && slice_eq(other->msgid, m->msgid) && slice_eq(other->stream, m->stream);
}

static const struct message *with_msgid(struct memory_store *s, const struct message *m)
{
    int64_t since = kept_now_ms() - kept_stream_named(s, m->stream)->dedupe_window;
    for (size_t i = 0; m->msgid.len && i < s->count; i++)
        if (is_same(m, s->messages[i]) && s->messages[i]->time_ms >= since)
            return s->messages[i];
    for (size_t i = 0; m->msgid.len && i < s->delayed_count; i++)
        if (is_same(m, s->delayed[i]))
            return s->delayed[i];
    return NULL;
}

void kept_append(struct memory_store *s, struct message *m)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 256;
        s->messages = xrealloc(s->messages, s->cap * sizeof(struct message *));
    }
    s->messages[s->count++] = message_hold(m);
    m->seq = s->count;
    m->time_ms = kept_now_ms();
    if (s->engine->engine.events->stored)
        s->engine->engine.events->stored(&s->engine->engine, &m, 1);
}

static void store(struct memory_store *s, struct message *m)
{
    const struct message *first = with_msgid(s, m);
    if (first) {
        m->duplicate = true;
        m->seq = first->seq;
        return;
    }
    if (m->due_ms <= kept_now_ms()) {
        kept_append(s, m);
        return;
    }
    s->delayed = xrealloc(s->delayed, (s->delayed_count + 1) * sizeof(struct message *));
    s->delayed[s->delayed_count++] = message_hold(m);
}

void kept_fail(struct op *op, enum engine_status status, const char *why)
{
    op->status = status;
    snprintf(op->error, sizeof(op->error), "%s", why);
}

bool kept_store_all(struct memory_store *s, struct op *op, struct message **messages,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!kept_stream_named(s, messages[i]->stream)) {
            op->status = ENGINE_UNKNOWN;
            snprintf(op->error, sizeof(op->error), "there is no stream \"" SLICE_FMT "\"",
                     SLICE_ARG(messages[i]->stream));
            return false;
        }
    for (size_t i = 0; i < count; i++)
        store(s, messages[i]);
    return true;
}

void kept_forget(struct memory_store *s, uint64_t seq)
{
    struct message *m = memory_find(s, seq);
    if (!m)
        return;
    s->messages[seq - 1] = NULL;
    for (size_t i = 0; i < s->consumer_count; i++)
        kept_place_remove(&s->consumers[i], seq);
    message_release(m);
}
