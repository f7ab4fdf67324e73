#include "bus/backoff.h"

/* Splitmix64 (Steele, Lea and Flood, 2014): one addition, and every seed is a good one. */
uint64_t chance_next(struct chance *c)
{
    uint64_t z = c->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t backoff_ms(const uint64_t *steps, size_t count, uint32_t tries, struct chance *c)
{
    if (count == 0 || tries == 0)
        return 0;
    uint64_t step = steps[MIN((size_t)tries, count) - 1];
    uint64_t spread = step / 100 * BACKOFF_JITTER_PERCENT +
                      step % 100 * BACKOFF_JITTER_PERCENT / 100; /* never overflows */
    return step - spread + chance_next(c) % (2 * spread + 1);
}
