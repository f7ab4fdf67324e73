/*
 * bench_draw: figures as people read them, and bars.
 */
#pragma once

#include "base/buf.h"
#include "base/histogram.h"

/* What a terminal can show. */
struct bench_look {
    bool unicode;
    bool colour;
};

/* By the locale's character set, and as the log decides about colours. */
struct bench_look bench_look_of(int fd);

/* "84 µs", "1.27 ms", "2.05 s": three digits; "us" instead when there is no Unicode. */
const char *bench_time(double ns, bool unicode, char text[24]);

/* "41 200": in groups of three. */
const char *bench_count(double n, char text[32]);

/* "61.2 MB". */
const char *bench_bytes(double n, char text[32]);

/* Appends a bar of part/whole of `width` cells, to an eighth of a cell where it can. */
void bench_bar(struct buf *, const struct bench_look *, double part, double whole,
               unsigned width);

/* Bars of how many latencies were up to 50, 100, 200, 500 ... µs, two blanks before each. */
void bench_distribution(struct buf *, const struct bench_look *, const struct histogram *);

/* "50 µs", "2 ms": for the bounds of a distribution. */
const char *bench_bound(uint64_t ns, bool unicode, char text[24]);

/* The next bound of a distribution: 1, 2, 5, 10, 20 ... µs, in ns; begins after 0. */
uint64_t bench_next_bound(uint64_t ns);
