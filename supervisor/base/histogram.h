/*
 * histogram: how often which value came, to three significant digits.
 *
 * Gil Tene's HdrHistogram: values below 2048 have a slot each, and every further power
 * of two is divided into 1024 slots, so that a recorded value is off by less than 0.1 %
 * of itself from 1 ns to more than an hour, in memory that does not grow.  Pure.
 */
#pragma once

#include "base/base.h"

enum {
    HISTOGRAM_BITS = 10, /* 1024 steps for each power of two */
    HISTOGRAM_RANGE = 42,
    HISTOGRAM_SLOTS = (HISTOGRAM_RANGE - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS,
};

/* Larger values are counted as this one: 2^42 - 1, 73 minutes in nanoseconds. */
#define HISTOGRAM_MAX ((UINT64_C(1) << HISTOGRAM_RANGE) - 1)

/* Zeroed = empty. */
struct histogram {
    uint64_t count;
    uint64_t max; /* the largest value itself; 0 when there is none */
    double sum;
    uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *, uint64_t value);

/*
 * The value that `percent` per cent of all are not above: of its slot the largest, and
 * never more than the largest of all.  0 when there is none.
 */
uint64_t histogram_at(const struct histogram *, double percent);

/* 0 when there is none. */
double histogram_mean(const struct histogram *);

/* How many are above `low` and not above `high`, as exactly as the slots allow. */
uint64_t histogram_between(const struct histogram *, uint64_t low, uint64_t high);
