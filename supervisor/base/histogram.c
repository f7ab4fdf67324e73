#include "base/histogram.h"

#define STEPS (UINT64_C(1) << HISTOGRAM_BITS)

/* The first two groups of slots are as fine as the values themselves. */
static size_t slot_of(uint64_t value)
{
    if (value < 2 * STEPS)
        return (size_t)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    return (size_t)(shift * STEPS + (value >> shift));
}

/* The largest value that is counted in that slot. */
static uint64_t slot_top(size_t slot)
{
    if (slot < 2 * STEPS)
        return slot;
    unsigned shift = (unsigned)(slot / STEPS) - 1;
    return ((slot % STEPS + STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    value = MIN(value, HISTOGRAM_MAX);
    h->slots[slot_of(value)]++;
    h->count++;
    h->sum += (double)value;
    h->max = MAX(h->max, value);
}

uint64_t histogram_at(const struct histogram *h, double percent)
{
    double exact = (double)h->count * percent / 100;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact || rank == 0;
    uint64_t seen = 0;
    for (size_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += h->slots[slot];
        if (seen >= rank)
            return MIN(slot_top(slot), h->max);
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / (double)h->count : 0;
}

uint64_t histogram_between(const struct histogram *h, uint64_t low, uint64_t high)
{
    uint64_t n = 0;
    for (size_t slot = 0; slot < HISTOGRAM_SLOTS; slot++)
        if (h->slots[slot] && slot_top(slot) > low && slot_top(slot) <= high)
            n += h->slots[slot];
    return n;
}
