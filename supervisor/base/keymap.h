/*
 * keymap: things found by the hash of their key.
 *
 * The nodes live in what they find and the hash is the caller's, who also compares
 * keys: several nodes may have the same hash, and the same key.  Grows and shrinks.
 * `struct keymap m = {0}` is empty and holds no memory.
 */
#pragma once

#include "base/base.h"

struct keymap_node {
    struct keymap_node *next; /* in its bucket */
    uint64_t hash;
};

struct keymap {
    struct keymap_node **buckets;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

/* Before all that have the same hash. */
void keymap_add(struct keymap *, struct keymap_node *, uint64_t hash);

/* The node is in the map. */
void keymap_remove(struct keymap *, struct keymap_node *);

/* The first and the next of those with this hash, or NULL. */
struct keymap_node *keymap_find(const struct keymap *, uint64_t hash);
struct keymap_node *keymap_next(const struct keymap_node *);

/* The map's own memory. */
static inline size_t keymap_bytes(const struct keymap *map)
{
    return map->cap * sizeof(*map->buckets);
}

void keymap_deinit(struct keymap *);
