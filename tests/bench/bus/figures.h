/*
 * figures: what the bus's load drivers share, so that nodey and its peers are measured by the
 * same code: a clock, a buffer, the payload, and latencies in slots of equal relative width.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SUB_BITS = 7, /* 128 steps per power of two keep values to within 0.8 % */
    SUB_COUNT = 1 << SUB_BITS,
    HIST_SLOTS = 58 * SUB_COUNT,
    PAYLOAD_MAX = 65536,
};

struct hist {
    uint64_t slots[HIST_SLOTS];
    uint64_t count;
    uint64_t max;
};

struct bytes {
    char *at;
    size_t len, room;
};

/* Nanoseconds of the clock that all processes of this machine share. */
uint64_t now_ns(void);

void hist_add(struct hist *, uint64_t ns);

/* In microseconds; percent 0..100. */
double hist_us(const struct hist *, double percent);

/* Appends; ends the program when there is no memory. */
void bytes_add(struct bytes *, const void *, size_t);
void bytes_print(struct bytes *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first n. */
void bytes_drop(struct bytes *, size_t n);

/*
 * A JSON object of exactly `size` bytes (40..PAYLOAD_MAX) that begins with the time:
 * {"t":1001234567890123456,"m":0,"x":"xxx..."}; `mark` is the digit of m.
 */
void payload_write(char *to, size_t size, uint64_t t_ns, int mark);

/* The CPU seconds of this process. */
double own_cpu_seconds(void);

/* Says why, and ends the program with 1. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
