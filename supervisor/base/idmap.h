/*
 * idmap: from a number to what it stands for, O(1).
 *
 * Ids are given out in increasing order and never again, so an id that has been
 * removed stays unknown for ever: a stale answer finds nothing.  Open addressing with
 * linear probing, and a hash that scatters: by their own value ids in a row would fill a
 * run of slots, which looking for an unknown one, and removing one, would have to walk.
 */
#pragma once

#include "base/base.h"

struct idmap {
    struct idmap_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

/* id > 0, not yet in the map; value is not NULL. */
void idmap_put(struct idmap *, uint64_t id, void *value);

/* NULL when unknown. */
void *idmap_get(const struct idmap *, uint64_t id);

/* Removes and returns the value; NULL when unknown. */
void *idmap_remove(struct idmap *, uint64_t id);

void idmap_deinit(struct idmap *);
