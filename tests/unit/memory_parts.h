/*
 * memory_parts: what the store in memory consists of, and what is done with it by name.
 */
#pragma once

#include "memory_engine.h"

enum { NAMES = 64, OPS = OP_BACKUP + 1 };

struct kept_stream {
    char *name;
    bool work;
    enum durability durability;
    uint64_t max_bytes;
    int64_t dedupe_window;
};

/* Delivered and not settled, or put off. */
struct kept_place {
    uint64_t seq;
    bool put_off;
    bool delivered; /* in this run */
    uint32_t tries;
    int64_t due_ms;
};

struct kept_consumer {
    uint32_t id; /* 0 = none */
    uint32_t epoch;
    uint32_t credit;
    char *stream, *name;
    char **patterns;
    size_t pattern_count;
    uint64_t hi;
    struct kept_place *places;
    size_t place_count;
};

struct memory_store {
    struct kept_stream streams[NAMES];
    size_t stream_count;
    struct kept_consumer consumers[NAMES];
    size_t consumer_count;
    struct message **messages; /* by seq - 1; NULL = deleted */
    size_t count, cap;
    struct message **delayed;
    size_t delayed_count;
    struct memory_engine *engine;
    bool frozen, held;
    unsigned failures;
    enum engine_status failure;
    unsigned ops[OPS];
};

struct memory_engine {
    struct engine engine;
    struct loop *loop;
    struct memory_store *store;
    struct list ops;
    struct task task;
    struct timer tick;
    struct timer alive; /* a loop that waits for nothing does not turn */
    bool closing;
};

/* The wall clock, by which delays and dedupe windows go. */
int64_t kept_now_ms(void);
char *kept_copy(struct slice s);
/* NULL: there is none. */
struct kept_stream *kept_stream_named(struct memory_store *s, struct slice name);
struct kept_consumer *kept_consumer_of(struct memory_store *s, uint32_t id);
const struct kept_consumer *kept_consumer_named(const struct memory_store *s,
                                                const char *stream, const char *name);

/* The place of a message that a consumer has taken up and not settled, or NULL. */
struct kept_place *kept_place_of(const struct kept_consumer *c, uint64_t seq);
struct kept_place *kept_place_add(struct kept_consumer *c, uint64_t seq);
void kept_place_remove(struct kept_consumer *c, uint64_t seq);

/* Is it of the consumer's stream, and of a topic that it wants? */
bool kept_takes(const struct kept_consumer *c, const struct message *m);
void kept_fail(struct op *op, enum engine_status status, const char *why);

/* All of them or none; a duplicate gets the seq of the first.  False: the op has failed. */
bool kept_store_all(struct memory_store *s, struct op *op, struct message **messages,
                    size_t count);
/* Behind all others, now. */
void kept_append(struct memory_store *s, struct message *m);
void kept_forget(struct memory_store *s, uint64_t seq);
void kept_consumer_clear(struct kept_consumer *c);
