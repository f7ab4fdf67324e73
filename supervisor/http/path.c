#include "http/path.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at s stands for, or -1. */
static int escaped_byte(struct slice s)
{
    if (s.len < 3)
        return -1;
    int high = hex_digit(s.ptr[1]);
    int low = hex_digit(s.ptr[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static const char *check_escapes(struct slice s)
{
    const char *at;
    while (s.len && (at = memchr(s.ptr, '%', s.len))) {
        s = slice_from(s, (size_t)(at - s.ptr));
        int byte = escaped_byte(s);
        if (byte < 0)
            return "The path holds a \"%\" that two hexadecimal digits do not follow.";
        if (byte == 0)
            return "The path holds an encoded NUL.";
        s = slice_from(s, 3);
    }
    return NULL;
}

/* The number of dots that a segment is made of, up to 2; 0 when it is anything else. */
static unsigned dots(struct slice segment)
{
    unsigned count = 0;
    while (segment.len) {
        size_t width = segment.ptr[0] == '.' ? 1 : 3;
        if (width == 3 && (segment.ptr[0] != '%' || escaped_byte(segment) != '.'))
            return 0;
        if (++count > 2)
            return 0;
        segment = slice_from(segment, width);
    }
    return count;
}

static bool may_hold_dots(struct slice path)
{
    for (size_t i = 0; i + 1 < path.len; i++)
        if (path.ptr[i] == '/' && (path.ptr[i + 1] == '.' || path.ptr[i + 1] == '%'))
            return true;
    return false;
}

const char *path_resolve(struct slice path, struct arena *arena, struct slice *out)
{
    const char *fault = check_escapes(path);
    if (fault || !may_hold_dots(path)) {
        if (!fault)
            *out = path;
        return fault;
    }
    /* `to` holds whole segments, each with the slash before it. */
    char *to = arena_alloc(arena, path.len + 1);
    size_t len = 0;
    while (path.len) {
        const char *slash = memchr(path.ptr + 1, '/', path.len - 1);
        size_t width = slash ? (size_t)(slash - path.ptr) : path.len;
        unsigned up = dots((struct slice){path.ptr + 1, width - 1});
        if (up == 2)
            while (len && to[--len] != '/')
                ;
        if (up == 0) {
            memcpy(to + len, path.ptr, width);
            len += width;
        } else if (!slash) { /* "/a/." and "/a/b/.." name a directory */
            to[len++] = '/';
        }
        path = slice_from(path, width);
    }
    *out = (struct slice){to, len};
    return NULL;
}

bool path_decode(struct slice piece, struct arena *arena, struct slice *out)
{
    if (piece.len == 0 || !memchr(piece.ptr, '%', piece.len)) {
        *out = piece;
        return true;
    }
    char *to = arena_alloc(arena, piece.len);
    size_t len = 0;
    while (piece.len) {
        int byte = (unsigned char)piece.ptr[0];
        size_t width = 1;
        if (byte == '%') {
            byte = escaped_byte(piece);
            width = 3;
        }
        if (byte <= 0)
            return false;
        to[len++] = (char)byte;
        piece = slice_from(piece, width);
    }
    *out = (struct slice){to, len};
    return true;
}
