/*
 * arena: many small allocations that end together.
 *
 * One per message or request.  `struct arena a = {0}` is empty and holds no
 * memory.  Moved by copying the struct and emptying the source.
 */
#pragma once

#include "base/slice.h"

struct arena {
    struct arena_chunk *chunks;
};

/* Aligned for any type; never NULL; not zeroed. */
void *arena_alloc(struct arena *, size_t size);

struct slice arena_copy(struct arena *, struct slice);
char *arena_strdup(struct arena *, struct slice);

/* Ends everything allocated, keeping one chunk for reuse. */
void arena_reset(struct arena *);
void arena_deinit(struct arena *);
