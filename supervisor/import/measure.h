/*
 * measure: durations, sizes and numbers as compose writes them, as nodey.toml has them.  Pure.
 *
 * Each writes `key = value` for a text with a variable in it as it stands.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

/* "1m30s", "1.5h", "100us": as a duration in whole milliseconds.  False: it is none. */
bool measure_duration(struct buf *, struct slice);

/* "512m", "1.5gb", "64 KiB", "1024".  False: it is none. */
bool measure_size(struct buf *, struct slice, uint64_t *bytes);

/* "0.5", "2": not negative.  False: it is none. */
bool measure_number(struct slice, double *);
