/*
 * sample: what instances use, and how fast: the difference of two looks at them.
 */
#pragma once

#include "client/programs.h"

struct sample_row {
    const struct program_view *program;
    const struct instance_view *instance;
    char name[96];  /* "fib#0" */
    bool has_cpu;   /* it was there at the look before */
    double cpu;     /* per cent of one CPU */
    uint64_t limit; /* of memory: its own, or what the machine has */
};

struct sample {
    struct programs_view before, now;
    struct sample_row *rows;
    size_t count;
    uint64_t machine_memory;
};

/* `struct sample s = {0}` has not looked yet. */
void sample_deinit(struct sample *);

/*
 * Looks again; the rows are of those programs that `names` names (none: of all), as nodey lists
 * them.  0, or an exit code after saying what went wrong.
 */
int sample_take(struct sample *, struct session *, const char *const *names,
                size_t count) MUST_CHECK;
