#include "bus/store_dedupe.h"

#include "bus/store_sum.h"

void dedupe_deinit(struct dedupe *d)
{
    xfree(d->ring);
    xfree(d->index);
    *d = (struct dedupe){0};
}

/* Two sums with different seeds: ids that are the same by chance are not to be expected. */
struct dedupe_hash dedupe_hash(struct slice stream, struct slice msgid)
{
    struct dedupe_hash hash;
    for (unsigned i = 0; i < 2; i++)
        hash.words[i] =
            store_sum_add(store_sum_add(i * UINT64_C(0x5851F42D4C957F2D), stream), msgid);
    return hash;
}

static struct dedupe_entry *entry_at(const struct dedupe *d, uint64_t number)
{
    return &d->ring[number & (d->cap - 1)];
}

static size_t home(const struct dedupe *d, const struct dedupe_hash *hash)
{
    return hash->words[0] & (2 * d->cap - 1);
}

static size_t after(const struct dedupe *d, size_t at)
{
    return (at + 1) & (2 * d->cap - 1);
}

/* Later entries with the same hash stand behind earlier ones. */
static void put(struct dedupe *d, uint64_t number)
{
    size_t at = home(d, &entry_at(d, number)->hash);
    while (d->index[at])
        at = after(d, at);
    d->index[at] = (uint32_t)(number & (d->cap - 1)) + 1;
}

/* Those that probing put behind a hole move up. */
static void take_out(struct dedupe *d, uint64_t number)
{
    uint32_t mark = (uint32_t)(number & (d->cap - 1)) + 1;
    size_t hole = home(d, &entry_at(d, number)->hash);
    while (d->index[hole] != mark)
        hole = after(d, hole);
    for (size_t at = after(d, hole); d->index[at]; at = after(d, at)) {
        size_t wants = home(d, &d->ring[d->index[at] - 1].hash);
        size_t mask = 2 * d->cap - 1;
        if (((at - wants) & mask) >= ((at - hole) & mask)) {
            d->index[hole] = d->index[at];
            hole = at;
        }
    }
    d->index[hole] = 0;
}

static void resize(struct dedupe *d, size_t cap)
{
    struct dedupe old = *d;
    d->cap = cap;
    d->ring = xmalloc(cap * sizeof(*d->ring));
    d->index = xcalloc(2 * cap, sizeof(*d->index));
    for (uint64_t at = d->begin; at < d->end; at++) {
        *entry_at(d, at) = *entry_at(&old, at);
        put(d, at);
    }
    xfree(old.ring);
    xfree(old.index);
}

const struct dedupe_entry *dedupe_find(const struct dedupe *d, const struct dedupe_hash *hash,
                                       int64_t since)
{
    if (!d->cap)
        return NULL;
    for (size_t at = home(d, hash); d->index[at]; at = after(d, at)) {
        const struct dedupe_entry *e = &d->ring[d->index[at] - 1];
        if (memcmp(&e->hash, hash, sizeof(*hash)) == 0 && e->time_ms >= since)
            return e;
    }
    return NULL;
}

void dedupe_add(struct dedupe *d, const struct dedupe_entry *entry)
{
    if (d->end - d->begin == d->cap)
        resize(d, d->cap ? 2 * d->cap : 1024);
    *entry_at(d, d->end) = *entry;
    put(d, d->end++);
}

void dedupe_undo(struct dedupe *d, uint64_t end)
{
    while (d->end > end)
        take_out(d, --d->end);
}

uint64_t dedupe_expire(struct dedupe *d, int64_t before)
{
    uint64_t last = 0;
    while (d->begin < d->end &&
           (entry_at(d, d->begin)->time_ms < before || d->end - d->begin > DEDUPE_MAX)) {
        last = entry_at(d, d->begin)->n;
        take_out(d, d->begin++);
    }
    if (d->cap > 1024 && d->end - d->begin < d->cap / 8)
        resize(d, d->cap / 2);
    return last;
}
