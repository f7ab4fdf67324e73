/*
 * slice: bytes that somebody else owns.
 *
 * Not terminated by a NUL.  A slice handed to a callback is valid until the
 * callback returns; whoever keeps it copies it into a buf or an arena.
 */
#pragma once

#include <string.h>
#include <strings.h>

#include "base/base.h"

struct slice {
    const char *ptr;
    size_t len;
};

/* One name with its value: a header field, a path parameter. */
struct field {
    struct slice name;
    struct slice value;
};

/* A slice of a string literal. */
#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})

/* For printf: printf(SLICE_FMT, SLICE_ARG(s)). */
#define SLICE_FMT    "%.*s"
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline struct slice slice_of(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_of(s));
}

/* ASCII letters only. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
    return a.len >= prefix.len &&
           (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

/* What remains after the first n bytes; n <= len. */
static inline struct slice slice_from(struct slice a, size_t n)
{
    return (struct slice){a.ptr + n, a.len - n};
}

/* Without blanks and tabs at both ends. */
static inline struct slice slice_trim(struct slice a)
{
    while (a.len && (a.ptr[0] == ' ' || a.ptr[0] == '\t')) {
        a.ptr++;
        a.len--;
    }
    while (a.len && (a.ptr[a.len - 1] == ' ' || a.ptr[a.len - 1] == '\t'))
        a.len--;
    return a;
}

static inline bool slice_is_ascii(struct slice a)
{
    unsigned char seen = 0;
    for (size_t i = 0; i < a.len; i++)
        seen |= (unsigned char)a.ptr[i];
    return seen < 0x80;
}

/* Decimal digits only, at most max; *out is written only on success. */
static inline bool slice_to_u64(struct slice a, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (a.len == 0)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        unsigned digit = (unsigned char)a.ptr[i] - (unsigned)'0';
        if (digit > 9 || digit > max || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}
