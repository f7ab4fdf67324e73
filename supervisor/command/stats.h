/*
 * stats: the figures of `nodey stats`, for `nodey top` as well.
 */
#pragma once

#include "client/options.h"
#include "command/sample.h"

struct stats_order {
    struct word_list names;
    bool as_json, no_color;
};

/* Prints them once.  Returns the exit code. */
int stats_once(struct session *, const struct stats_order *);

/* Appends the table of a sample; width 0: no limit. */
void stats_write(const struct sample *, size_t width, bool colour, struct buf *out);
