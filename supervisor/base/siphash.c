#include "base/siphash.h"

#include <stdlib.h>

#include "base/word.h"

enum { ROUNDS = 1, LAST_ROUNDS = 3 };

struct state {
    uint64_t a, b, c, d;
};

struct siphash_key siphash_key_new(void)
{
    struct siphash_key key;
    arc4random_buf(&key, sizeof(key));
    return key;
}

static uint64_t turn(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(struct state *s, int rounds)
{
    while (rounds--) {
        s->a += s->b;
        s->c += s->d;
        s->b = turn(s->b, 13) ^ s->a;
        s->d = turn(s->d, 16) ^ s->c;
        s->a = turn(s->a, 32) + s->d;
        s->c += s->b;
        s->d = turn(s->d, 21) ^ s->a;
        s->b = turn(s->b, 17) ^ s->c;
        s->c = turn(s->c, 32);
    }
}

static void take(struct state *s, uint64_t word)
{
    s->d ^= word;
    mix(s, ROUNDS);
    s->a ^= word;
}

uint64_t siphash(const struct siphash_key *key, struct slice bytes)
{
    struct state s = {
        key->words[0] ^ UINT64_C(0x736f6d6570736575),
        key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        key->words[0] ^ UINT64_C(0x6c7967656e657261),
        key->words[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t at = 0;
    for (; at + WORD_SIZE <= bytes.len; at += WORD_SIZE)
        take(&s, word_load(bytes.ptr + at));
    uint64_t last = (uint64_t)bytes.len << 56;
    for (unsigned shift = 0; at < bytes.len; at++, shift += 8)
        last |= (uint64_t)(unsigned char)bytes.ptr[at] << shift;
    take(&s, last);
    s.c ^= 0xff;
    mix(&s, LAST_ROUNDS);
    return s.a ^ s.b ^ s.c ^ s.d;
}
