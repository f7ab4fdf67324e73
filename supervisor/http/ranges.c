#include "http/ranges.h"

#include "http/field.h"

/* False when the item is no range.  A length of 0: it lies outside. */
static bool read_one(struct slice item, uint64_t size, struct byte_range *range)
{
    const char *dash = memchr(item.ptr, '-', item.len);
    if (!dash)
        return false;
    struct slice from = slice_trim((struct slice){item.ptr, (size_t)(dash - item.ptr)});
    struct slice to = slice_trim(slice_from(item, (size_t)(dash + 1 - item.ptr)));
    uint64_t first = 0, last = UINT64_MAX;
    for (size_t i = 0; i < to.len; i++)
        if (to.ptr[i] < '0' || to.ptr[i] > '9')
            return false;
    /* A last byte too large to read is beyond the end, as is any that is too large. */
    IGNORE(slice_to_u64(to, UINT64_MAX, &last));
    if (!from.len) {
        if (!to.len)
            return false;
        uint64_t length = MIN(last, size);
        *range = (struct byte_range){size - length, length};
        return true;
    }
    for (size_t i = 0; i < from.len; i++)
        if (from.ptr[i] < '0' || from.ptr[i] > '9')
            return false;
    if (!slice_to_u64(from, UINT64_MAX, &first))
        first = UINT64_MAX;
    if (last < first)
        return false;
    *range = first < size ? (struct byte_range){first, MIN(last, size - 1) - first + 1}
                          : (struct byte_range){0};
    return true;
}

static bool is_near(const struct byte_range *a, const struct byte_range *b)
{
    const struct byte_range *low = a->first <= b->first ? a : b;
    const struct byte_range *high = low == a ? b : a;
    uint64_t end = low->first + low->length; /* both lie within the size: no overflow */
    return high->first <= end || high->first - end <= RANGES_NEARBY;
}

static void join(struct byte_range *a, const struct byte_range *b)
{
    uint64_t end = MAX(a->first + a->length, b->first + b->length);
    a->first = MIN(a->first, b->first);
    a->length = end - a->first;
}

/* What has grown may have come near to others that stood apart from it. */
static void add(struct byte_ranges *ranges, struct byte_range range)
{
    size_t at = ranges->count;
    for (size_t i = 0; i < ranges->count;) {
        if (!is_near(&ranges->items[i], &range)) {
            i++;
            continue;
        }
        join(&range, &ranges->items[i]);
        at = MIN(at, i);
        ranges->count--;
        memmove(&ranges->items[i], &ranges->items[i + 1],
                (ranges->count - i) * sizeof(ranges->items[0]));
        i = 0;
    }
    at = MIN(at, ranges->count);
    memmove(&ranges->items[at + 1], &ranges->items[at],
            (ranges->count - at) * sizeof(ranges->items[0]));
    ranges->items[at] = range;
    ranges->count++;
}

enum ranges_verdict ranges_read(struct slice field, uint64_t size, struct byte_ranges *ranges)
{
    const char *equals = field.len ? memchr(field.ptr, '=', field.len) : NULL;
    size_t unit = equals ? (size_t)(equals - field.ptr) : 0;
    if (!slice_eq_nocase((struct slice){field.ptr, unit}, SLICE("bytes")))
        return RANGES_WHOLE;
    struct slice rest = slice_from(field, unit + 1), item;
    size_t asked = 0;
    *ranges = (struct byte_ranges){0};
    while (list_take(&rest, &item)) {
        struct byte_range range;
        if (++asked > RANGES_MAX || !read_one(item, size, &range))
            return RANGES_WHOLE;
        if (range.length)
            add(ranges, range);
    }
    if (!asked)
        return RANGES_WHOLE;
    return ranges->count ? RANGES_PARTS : RANGES_UNSATISFIABLE;
}
