/*
 * buf: growing bytes that we own.
 *
 * `struct buf b = {0}` is an empty buffer that holds no memory.  Adding copies.
 * A pointer or slice into a buf is valid until something is added to it.
 */
#pragma once

#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

/* Frees the memory; the buf is empty and usable again. */
void buf_deinit(struct buf *);

/* Makes room for `extra` more bytes and returns where they go; len is unchanged. */
char *buf_reserve(struct buf *, size_t extra);

void buf_append(struct buf *, const void *bytes, size_t len);
void buf_addf(struct buf *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds a number in decimal. */
void buf_addu(struct buf *, uint64_t n);

/* Drops the first n bytes; what remains moves to the front. */
void buf_consume(struct buf *, size_t n);

static inline void buf_add(struct buf *b, struct slice s)
{
    buf_append(b, s.ptr, s.len);
}

static inline void buf_adds(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

static inline void buf_addc(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}

/* The bytes as a C string, valid until the buf changes. */
const char *buf_cstr(struct buf *);

/* Gives up the memory as a C string; the buf is empty.  The caller frees it. */
char *buf_give(struct buf *);
