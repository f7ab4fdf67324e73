/*
 * store_dedupe: which msgids came of late, and as what.
 *
 * A ring in the order of their coming, found by 128 bits of a hash of stream and msgid.  The
 * oldest leave when there are too many, or when they are too old for any stream.
 */
#pragma once

#include "base/slice.h"

enum { DEDUPE_MAX = 1000000, DEDUPE_HASH = 16 };

struct dedupe_hash {
    uint64_t words[2];
};

struct dedupe_entry {
    struct dedupe_hash hash;
    uint64_t n;   /* its row in the table */
    uint64_t seq; /* 0: its time had not come */
    int64_t time_ms;
};

struct dedupe {
    struct dedupe_entry *ring;
    size_t cap; /* a power of two, or 0 */
    uint64_t begin, end;
    uint32_t *index; /* twice `cap`: place in the ring + 1, by hash; 0 = free */
};

void dedupe_deinit(struct dedupe *);
struct dedupe_hash dedupe_hash(struct slice stream, struct slice msgid);

/* NULL, or what came with it not before `since`; valid until something is added. */
const struct dedupe_entry *dedupe_find(const struct dedupe *, const struct dedupe_hash *,
                                       int64_t since);
void dedupe_add(struct dedupe *, const struct dedupe_entry *);

/* The newest are taken back until `end` is as given. */
void dedupe_undo(struct dedupe *, uint64_t end);

/* The oldest leave.  0, or the `n` of the last of them. */
uint64_t dedupe_expire(struct dedupe *, int64_t before);
