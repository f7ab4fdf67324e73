/*
 * backoff: how long a message that failed waits before it is tried again.  Pure.
 */
#pragma once

#include "base/base.h"

enum { BACKOFF_JITTER_PERCENT = 10 };

/* Chances that a seed repeats: for jitter and for the ids of traces, not for secrets. */
struct chance {
    uint64_t state;
};

static inline struct chance chance_seeded(uint64_t seed)
{
    return (struct chance){seed};
}

/* Any 64 bits. */
uint64_t chance_next(struct chance *);

/*
 * Before the attempt that follows `tries` failures (1, 2, ...): the step of that number, of
 * which the last repeats, give or take the jitter.  Without steps it is none.
 */
uint64_t backoff_ms(const uint64_t *steps, size_t count, uint32_t tries, struct chance *);
