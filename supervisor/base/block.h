/*
 * block: sixteen bytes of text looked at at once, where every machine of a kind can.
 *
 * BLOCK_SIZE is 0 where there is nothing better than a word (base/word.h).  A mark is one
 * bit for each byte, the first byte's the lowest; all of them are exact.
 */
#pragma once

#include "base/base.h"

#if defined(__SSE2__)
#    include <emmintrin.h>

#    define BLOCK_SIZE 16

/* Marks the bytes from 0x80. */
static inline unsigned block_high(const char *p)
{
    return (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p));
}

/* Marks what does not stand for itself in a JSON string, and the bytes from 0x80. */
static inline unsigned block_not_plain(const char *p)
{
    __m128i text = _mm_loadu_si128((const __m128i *)p);
    /* As signed numbers the bytes from 0x80 lie below the control characters. */
    __m128i odd = _mm_or_si128(_mm_cmplt_epi8(text, _mm_set1_epi8(0x20)),
                               _mm_or_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('"')),
                                            _mm_cmpeq_epi8(text, _mm_set1_epi8('\\'))));
    return (unsigned)_mm_movemask_epi8(odd);
}

#else
#    define BLOCK_SIZE 0
#endif
