#include "bus/bus_due.h"

#include <assert.h>

enum { FIRST_CAP = 64 };

static void put(struct due_heap *h, size_t at, struct due *d)
{
    h->items[at] = d;
    d->place = at + 1;
}

static void sift_up(struct due_heap *h, size_t at)
{
    struct due *d = h->items[at];
    for (size_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (h->items[parent]->at_ms <= d->at_ms)
            break;
        put(h, at, h->items[parent]);
    }
    put(h, at, d);
}

static void sift_down(struct due_heap *h, size_t at)
{
    struct due *d = h->items[at];
    for (size_t child; (child = at * 2 + 1) < h->count; at = child) {
        if (child + 1 < h->count && h->items[child + 1]->at_ms < h->items[child]->at_ms)
            child++;
        if (d->at_ms <= h->items[child]->at_ms)
            break;
        put(h, at, h->items[child]);
    }
    put(h, at, d);
}

void due_add(struct due_heap *h, struct due *d, uint64_t at_ms)
{
    assert(!d->place);
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : FIRST_CAP;
        h->items = xrealloc(h->items, h->cap * sizeof(struct due *));
    }
    d->at_ms = at_ms;
    put(h, h->count++, d);
    sift_up(h, d->place - 1);
}

void due_remove(struct due_heap *h, struct due *d)
{
    if (!d->place)
        return;
    size_t at = d->place - 1;
    struct due *last = h->items[--h->count];
    d->place = 0;
    if (last == d)
        return;
    put(h, at, last);
    sift_up(h, at);
    sift_down(h, last->place - 1);
}

struct due *due_next(struct due_heap *h, uint64_t now_ms)
{
    if (due_first(h) > now_ms)
        return NULL;
    struct due *d = h->items[0];
    due_remove(h, d);
    return d;
}

uint64_t due_first(const struct due_heap *h)
{
    return h->count ? h->items[0]->at_ms : UINT64_MAX;
}

void due_deinit(struct due_heap *h)
{
    xfree(h->items);
    *h = (struct due_heap){0};
}
