#include "bus/store_tail.h"

#include <assert.h>

static size_t slot_bytes(const struct message *m)
{
    return message_bytes(m) + sizeof(struct tail_slot) + sizeof(struct tail_stream *);
}

void tail_init(struct tail *t, uint64_t max_bytes)
{
    *t = (struct tail){.max_bytes = max_bytes};
}

void tail_deinit(struct tail *t)
{
    tail_clear(t);
    xfree(t->order);
}

static void let_go(struct tail *t, struct tail_slot *slot)
{
    if (!slot->message)
        return;
    t->bytes -= slot_bytes(slot->message);
    message_release(slot->message);
    slot->message = NULL;
}

static void drop_oldest(struct tail *t)
{
    struct tail_stream *s = t->order[t->begin++ & (t->cap - 1)];
    if (!s)
        return; /* of a stream that was dropped */
    struct tail_slot *slot = tail_at(s, s->begin++);
    s->floor = slot->seq;
    let_go(t, slot);
}

void tail_clear(struct tail *t)
{
    while (t->begin < t->end)
        drop_oldest(t);
}

static void grow_order(struct tail *t)
{
    size_t cap = t->cap ? t->cap * 2 : 256;
    struct tail_stream **order = xmalloc(cap * sizeof(struct tail_stream *));
    for (uint64_t at = t->begin; at < t->end; at++)
        order[at & (cap - 1)] = t->order[at & (t->cap - 1)];
    xfree(t->order);
    t->order = order;
    t->cap = cap;
}

static void grow_stream(struct tail_stream *s)
{
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct tail_slot *slots = xmalloc(cap * sizeof(*slots));
    for (uint64_t at = s->begin; at < s->end; at++)
        slots[at & (cap - 1)] = *tail_at(s, at);
    xfree(s->slots);
    s->slots = slots;
    s->cap = cap;
}

void tail_add(struct tail *t, struct tail_stream *s, struct message *m, uint32_t topic)
{
    if (t->end - t->begin == t->cap)
        grow_order(t);
    if (s->end - s->begin == s->cap)
        grow_stream(s);
    *tail_at(s, s->end++) = (struct tail_slot){m->seq, message_hold(m), topic};
    t->order[t->end++ & (t->cap - 1)] = s;
    t->bytes += slot_bytes(m);
    while (t->bytes > t->max_bytes)
        drop_oldest(t);
}

uint64_t tail_find(const struct tail_stream *s, uint64_t seq)
{
    uint64_t low = s->begin, high = s->end;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (tail_at(s, mid)->seq > seq)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static struct tail_slot *slot_of(const struct tail_stream *s, uint64_t seq)
{
    uint64_t at = seq ? tail_find(s, seq - 1) : s->end;
    if (at == s->end || tail_at(s, at)->seq != seq)
        return NULL;
    return tail_at(s, at);
}

struct message *tail_get(const struct tail_stream *s, uint64_t seq)
{
    struct tail_slot *slot = slot_of(s, seq);
    return slot ? slot->message : NULL;
}

void tail_forget(struct tail *t, struct tail_stream *s, uint64_t seq)
{
    struct tail_slot *slot = slot_of(s, seq);
    if (slot)
        let_go(t, slot);
}

void tail_drop(struct tail *t, struct tail_stream *s)
{
    for (uint64_t at = s->begin; at < s->end; at++)
        let_go(t, tail_at(s, at));
    for (uint64_t at = t->begin; at < t->end; at++)
        if (t->order[at & (t->cap - 1)] == s)
            t->order[at & (t->cap - 1)] = NULL;
    xfree(s->slots);
    *s = (struct tail_stream){.floor = s->floor};
}
