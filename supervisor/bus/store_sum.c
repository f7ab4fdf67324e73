#include "bus/store_sum.h"

#define PRIME1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME3 UINT64_C(0x165667B19E3779F9)
#define PRIME4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t turn(uint64_t n, unsigned bits)
{
    return n << bits | n >> (64 - bits);
}

/* In the machine's own order: a store stays on machines of one kind. */
static uint64_t word64(const unsigned char *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof(n));
    return n;
}

static uint32_t word32(const unsigned char *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof(n));
    return n;
}

static uint64_t round_of(uint64_t lane, uint64_t word)
{
    return turn(lane + word * PRIME2, 31) * PRIME1;
}

static uint64_t merge(uint64_t sum, uint64_t lane)
{
    return (sum ^ round_of(0, lane)) * PRIME1 + PRIME4;
}

/* The part of the text that comes in stripes of 32 bytes; moves `p` behind it. */
static uint64_t stripes(uint64_t seed, const unsigned char **p, const unsigned char *end)
{
    uint64_t lanes[4] = {seed + PRIME1 + PRIME2, seed + PRIME2, seed, seed - PRIME1};
    const unsigned char *at = *p;
    do {
        for (unsigned i = 0; i < 4; i++)
            lanes[i] = round_of(lanes[i], word64(at + 8 * i));
        at += 32;
    } while (end - at >= 32);
    uint64_t sum =
        turn(lanes[0], 1) + turn(lanes[1], 7) + turn(lanes[2], 12) + turn(lanes[3], 18);
    for (unsigned i = 0; i < 4; i++)
        sum = merge(sum, lanes[i]);
    *p = at;
    return sum;
}

uint64_t store_sum(uint64_t seed, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    const unsigned char *end = p + len;
    uint64_t sum = (len >= 32 ? stripes(seed, &p, end) : seed + PRIME5) + len;
    for (; end - p >= 8; p += 8)
        sum = turn(sum ^ round_of(0, word64(p)), 27) * PRIME1 + PRIME4;
    if (end - p >= 4) {
        sum = turn(sum ^ word32(p) * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
    }
    for (; p < end; p++)
        sum = turn(sum ^ *p * PRIME5, 11) * PRIME1;
    sum = (sum ^ sum >> 33) * PRIME2;
    sum = (sum ^ sum >> 29) * PRIME3;
    return sum ^ sum >> 32;
}
