#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_CAP = 64 };

void buf_deinit(struct buf *b)
{
    xfree(b->ptr);
    *b = (struct buf){0};
}

char *buf_reserve(struct buf *b, size_t extra)
{
    if (b->cap - b->len < extra) {
        size_t cap = MAX(b->cap * 2, (size_t)FIRST_CAP);
        b->cap = MAX(cap, b->len + extra);
        b->ptr = xrealloc(b->ptr, b->cap);
    }
    return b->ptr ? b->ptr + b->len : b->ptr; /* NULL + 0 is undefined */
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *to = buf_reserve(b, (size_t)need + 1);
    vsnprintf(to, (size_t)need + 1, fmt, again);
    va_end(again);
    b->len += (size_t)need;
}

void buf_addu(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->ptr, b->ptr + n, b->len);
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return b->ptr;
}

char *buf_give(struct buf *b)
{
    IGNORE(buf_cstr(b)); /* only for the NUL at the end */
    char *text = b->ptr;
    *b = (struct buf){0};
    return text;
}
