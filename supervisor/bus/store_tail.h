/*
 * store_tail: the newest messages in memory, one copy for all who read them.
 *
 * Each stream has a ring of its own; what all have together is bounded, and the oldest of all
 * goes first.  What is in a ring has no hole: whoever stands at its beginning or later finds
 * all that follows.
 */
#pragma once

#include "base/list.h"
#include "bus/message.h"

struct tail_slot {
    uint64_t seq;
    struct message *message; /* NULL: it was deleted */
    uint32_t topic;
};

/* Counts from 0 for ever; a slot's place is its number modulo cap. */
struct tail_stream {
    struct tail_slot *slots;
    size_t cap; /* a power of two, or 0 */
    uint64_t begin, end;
    uint64_t floor; /* all of the stream's with a greater seq are in the ring */
};

struct tail {
    struct tail_stream **order; /* whose the oldest is, the next, ... */
    size_t cap;
    uint64_t begin, end;
    uint64_t bytes, max_bytes;
};

void tail_init(struct tail *, uint64_t max_bytes);
void tail_deinit(struct tail *);

/* Takes a reference of its own; seq is greater than all before. */
void tail_add(struct tail *, struct tail_stream *, struct message *, uint32_t topic);

/* The number of the first with a greater seq; `end` when there is none. */
uint64_t tail_find(const struct tail_stream *, uint64_t seq);

static inline struct tail_slot *tail_at(const struct tail_stream *t, uint64_t number)
{
    return &t->slots[number & (t->cap - 1)];
}

/* NULL when it is not there. */
struct message *tail_get(const struct tail_stream *, uint64_t seq);
void tail_forget(struct tail *, struct tail_stream *, uint64_t seq);

/* Nothing of this stream, or of any. */
void tail_drop(struct tail *, struct tail_stream *);
void tail_clear(struct tail *);
