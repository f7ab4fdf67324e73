#include "base/printable.h"

#include "base/utf8.h"

/* ESC and its like, C1 included: U+0080 to U+009F are two bytes, of which the first is c2. */
static bool is_control(const char *p, size_t len)
{
    unsigned char c = (unsigned char)p[0];
    if (len == 1)
        return (c < 0x20 && c != '\t') || c == 0x7f;
    return len == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
}

/* The length of a colour that begins at p, or 0. */
static size_t colour_at(const char *p, const char *end)
{
    const char *at = p + 2;
    if (end - p < 3 || p[0] != '\x1b' || p[1] != '[')
        return 0;
    while (at < end && ((*at >= '0' && *at <= '9') || *at == ';' || *at == ':'))
        at++;
    return at < end && *at == 'm' ? (size_t)(at + 1 - p) : 0;
}

static void add_escaped(struct buf *out, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_addf(out, "\\x%02x", (unsigned char)p[i]);
}

void printable_add(struct buf *out, struct slice text, const struct printable *how)
{
    const char *end = text.ptr + text.len;
    bool coloured = false;
    for (const char *p = text.ptr; p < end;) {
        bool valid;
        size_t len = colour_at(p, end);
        if (len) {
            if (how->colours)
                buf_append(out, p, len);
            coloured = how->colours;
            p += len;
            continue;
        }
        len = utf8_step(p, end, &valid);
        if (*p == '\n')
            buf_addf(out, "\n%*s%s", (int)how->indent, "", how->gutter ? how->gutter : "");
        else if (valid && !is_control(p, len))
            buf_append(out, p, len);
        else
            add_escaped(out, p, len);
        p += len;
    }
    if (coloured)
        buf_adds(out, "\x1b[0m");
}
