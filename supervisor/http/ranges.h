/*
 * ranges: which parts of a representation a Range field asks for (RFC 9110, 14).  Pure.
 */
#pragma once

#include "base/slice.h"

enum {
    RANGES_MAX = 16, /* a field with more is not obeyed */
    RANGES_NEARBY =
        128, /* two parts with a gap up to this become one: a part's head costs that */
};

struct byte_range {
    uint64_t first;
    uint64_t length; /* never 0 */
};

struct byte_ranges {
    struct byte_range items[RANGES_MAX];
    size_t count;
};

enum ranges_verdict {
    RANGES_WHOLE,         /* no ranges that one would obey: malformed, too many, another unit */
    RANGES_PARTS,         /* `ranges` has at least one */
    RANGES_UNSATISFIABLE, /* none of them lies within: 416 */
};

/*
 * field: the value of Range.  size: of the representation.  The parts come in the order in
 * which they were asked for; those that overlap or lie close together have become one.
 */
enum ranges_verdict ranges_read(struct slice field, uint64_t size, struct byte_ranges *ranges);
