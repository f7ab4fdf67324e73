/*
 * siphash: a hash for keys that strangers choose.
 *
 * SipHash (Aumasson and Bernstein, 2012) with one round per word and three at the end,
 * as Python and Rust use it for their tables: who does not know the key cannot make
 * names that fall together.
 */
#pragma once

#include "base/slice.h"

struct siphash_key {
    uint64_t words[2];
};

/* A key by chance. */
struct siphash_key siphash_key_new(void);

uint64_t siphash(const struct siphash_key *, struct slice);
