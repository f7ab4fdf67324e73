#include "base/idmap.h"

#include <assert.h>

enum { FIRST_CAP = 16 };

struct idmap_slot {
    uint64_t id; /* 0 = empty */
    void *value;
};

/*
 * By Knuth's multiplication with the golden ratio, which puts numbers that increase far from
 * each other: next to each other they were one long cluster, and each removal walked it.
 */
static size_t home(const struct idmap *m, uint64_t id)
{
    return (size_t)(id * UINT64_C(0x9E3779B97F4A7C15) >> (64 - __builtin_ctzll(m->cap)));
}

static size_t next(const struct idmap *m, size_t at)
{
    return (at + 1) & (m->cap - 1);
}

/* The slot that holds the id, or the empty one where it would go. */
static size_t find(const struct idmap *m, uint64_t id)
{
    size_t at = home(m, id);
    while (m->slots[at].id && m->slots[at].id != id)
        at = next(m, at);
    return at;
}

static void grow(struct idmap *m)
{
    struct idmap old = *m;
    m->cap = old.cap ? old.cap * 2 : FIRST_CAP;
    m->slots = xcalloc(m->cap, sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].id)
            m->slots[find(m, old.slots[i].id)] = old.slots[i];
    xfree(old.slots);
}

void idmap_put(struct idmap *m, uint64_t id, void *value)
{
    assert(id && value);
    if (m->count * 2 >= m->cap)
        grow(m);
    size_t at = find(m, id);
    assert(!m->slots[at].id);
    m->slots[at] = (struct idmap_slot){id, value};
    m->count++;
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
    if (!m->cap || !id)
        return NULL;
    return m->slots[find(m, id)].value;
}

/*
 * Deletion without tombstones (Knuth 6.4, algorithm R): whatever follows in the
 * cluster and may not stay behind the hole moves into it.
 */
static void close_hole(struct idmap *m, size_t hole)
{
    for (size_t at = next(m, hole); m->slots[at].id; at = next(m, at)) {
        size_t want = home(m, m->slots[at].id);
        bool reachable = hole <= at ? (hole < want && want <= at) : (hole < want || want <= at);
        if (!reachable) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct idmap_slot){0};
}

void *idmap_remove(struct idmap *m, uint64_t id)
{
    if (!m->cap || !id)
        return NULL;
    size_t at = find(m, id);
    void *value = m->slots[at].value;
    if (value) {
        close_hole(m, at);
        m->count--;
    }
    return value;
}

void idmap_deinit(struct idmap *m)
{
    xfree(m->slots);
    *m = (struct idmap){0};
}
