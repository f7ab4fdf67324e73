/*
 * store_sum: a check sum that a flipped bit, or a row in the wrong place, does not pass.
 *
 * XXH64 (Yann Collet).  It guards against disks, not against people.
 */
#pragma once

#include "base/slice.h"

uint64_t store_sum(uint64_t seed, const void *bytes, size_t len);

/* Of several in a row: where one ends and the next begins counts, too. */
static inline uint64_t store_sum_add(uint64_t sum, struct slice part)
{
    return store_sum(sum + part.len, part.ptr, part.len);
}
