/*
 * The seqs that a consumer has taken up and not settled, in order; they are added at the end.
 * On disk they are the differences, seven bits in a byte.
 */
#include "bus/store_core.h"

#define SETTLED UINT64_C(1)

static size_t place_of(const struct consumer *c, uint64_t seq)
{
    size_t low = 0, high = c->open_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->open[mid] >> 1 < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void open_add(struct consumer *c, uint64_t seq)
{
    if (c->open_count == c->open_cap) {
        c->open_cap = c->open_cap ? 2 * c->open_cap : 64;
        c->open = xrealloc(c->open, c->open_cap * sizeof(*c->open));
    }
    c->open[c->open_count++] = seq << 1;
}

bool open_has(const struct consumer *c, uint64_t seq)
{
    size_t at = place_of(c, seq);
    return at < c->open_count && c->open[at] == seq << 1;
}

bool open_settle(struct consumer *c, uint64_t seq)
{
    size_t at = place_of(c, seq);
    if (at == c->open_count || c->open[at] != seq << 1)
        return false;
    c->open[at] |= SETTLED;
    c->settling++;
    return true;
}

/* Without those in [from, to], or without what is settled; the places of what is to be
   delivered anew move with the others. */
static size_t keep(struct consumer *c, uint64_t from, uint64_t to)
{
    size_t kept = 0, again = c->again, again_at = c->again_at;
    for (size_t i = 0; i < c->open_count; i++) {
        uint64_t seq = c->open[i] >> 1;
        bool goes = from ? seq >= from && seq <= to : c->open[i] & SETTLED;
        if (!goes)
            c->open[kept++] = c->open[i];
        else {
            c->again -= i < again;
            c->again_at -= i < again_at;
        }
    }
    size_t gone = c->open_count - kept;
    c->open_count = kept;
    return gone;
}

void open_commit(struct consumer *c)
{
    if (c->settling)
        keep(c, 0, 0);
    c->settling = 0;
}

void open_undo(struct consumer *c)
{
    for (size_t i = 0; i < c->open_count && c->settling; i++)
        c->open[i] &= ~SETTLED;
    c->settling = 0;
}

size_t open_remove(struct consumer *c, uint64_t from, uint64_t to)
{
    return keep(c, MAX(from, 1), to);
}

void open_encode(const struct consumer *c, struct buf *out)
{
    uint64_t last = 0;
    for (size_t i = 0; i < c->open_count; i++) {
        if (c->open[i] & SETTLED)
            continue;
        uint64_t seq = c->open[i] >> 1;
        for (uint64_t rest = seq - last;; rest >>= 7) {
            buf_addc(out, (char)(rest > 127 ? rest | 128 : rest));
            if (rest <= 127)
                break;
        }
        last = seq;
    }
}

bool open_decode(struct consumer *c, struct slice bytes)
{
    uint64_t seq = 0, step = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        step |= (uint64_t)(byte & 127) << shift;
        shift += 7;
        if (byte & 128) {
            if (shift > 56)
                return false;
            continue;
        }
        if (step == 0)
            return false;
        seq += step;
        open_add(c, seq);
        step = shift = 0;
    }
    return shift == 0;
}
