/*
 * metric: plain values that somebody else reads.  Pure.
 */
#pragma once

#include "base/base.h"

/*
 * How long something recently took: a mean and a peak that both forget.  The peak
 * jumps to a larger sample at once and decays by 1/64 per sample, so one slow
 * request among a hundred keeps it high and a single hiccup is soon forgotten.
 */
struct pace {
    double mean_us;
    double peak_us;
    uint64_t samples;
};

/* `count` things took `each_us` each. */
void pace_note(struct pace *, double each_us, unsigned count);

/* Allows `rate` things per second with a burst of twice that. */
struct bucket {
    double tokens;
    uint64_t last_ms;
};

/* True when one more is allowed now. */
bool bucket_take(struct bucket *, double rate, uint64_t now_ms);

/* Counts what happens within spans of time, one after the other. */
struct window {
    uint64_t since_ms;
    unsigned count;
};

/* One more has happened: true when that makes more than `limit` within the span. */
bool window_over(struct window *, unsigned limit, uint64_t span_ms, uint64_t now_ms);
