/*
 * word: eight bytes of text looked at at once.
 *
 * A mark is the high bit of a byte that was looked for.  Only the lowest mark of a word
 * is exact: a borrow can mark a byte wrongly, but never below one marked rightly.
 */
#pragma once

#include "base/slice.h"

enum { WORD_SIZE = 8 };

#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (unsigned char)(byte))

/* Where a text ends.  An empty one may have no address, and C forbids even NULL + 0. */
static inline const char *text_end(struct slice text)
{
    return text.len ? text.ptr + text.len : text.ptr;
}

/* The first byte in memory becomes the lowest of the word. */
static inline uint64_t word_load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, WORD_SIZE);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Marks the bytes from 0x80. */
static inline uint64_t word_high(uint64_t word)
{
    return word & WORD_OF(0x80);
}

/* Marks the bytes below `limit`, which is at most 0x80. */
static inline uint64_t word_below(uint64_t word, unsigned char limit)
{
    return (word - WORD_OF(limit)) & ~word & WORD_OF(0x80);
}

static inline uint64_t word_equal(uint64_t word, unsigned char byte)
{
    return word_below(word ^ WORD_OF(byte), 1);
}

/* The index of the lowest mark; marks is not 0. */
static inline size_t word_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}
