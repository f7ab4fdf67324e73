#include "app/html.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "app/embedded.h"
#include "base/utf8.h"

/* How long a terminal's escape sequence at p is ("ESC [ 1 ; 31 m"); 0 = there is none. */
static size_t escape_len(const char *p, const char *end)
{
    if (end - p < 3 || p[0] != '\x1b' || p[1] != '[')
        return 0;
    for (const char *at = p + 2; at < end; at++) {
        if ((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z'))
            return (size_t)(at + 1 - p);
        if ((*at < '0' || *at > '9') && *at != ';' && *at != '?')
            break;
    }
    return 0;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(struct buf *out, struct slice text)
{
    const char *end = text.ptr + text.len;
    for (const char *p = text.ptr; p < end;) {
        bool valid;
        size_t len = escape_len(p, end);
        if (len) {
            p += len;
            continue;
        }
        len = utf8_step(p, end, &valid);
        bool control = ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f;
        if (!valid || control)
            utf8_add(out, UTF8_REPLACEMENT);
        else if (len == 1 && entity(*p))
            buf_adds(out, entity(*p));
        else
            buf_append(out, p, len);
        p += len;
    }
}

/* Knows %s, %.*s, %u and %zu, which is all that pages need. */
void html_addf(struct buf *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    for (const char *p = fmt; *p; p++) {
        if (*p != '%') {
            buf_addc(out, *p);
        } else if (strncmp(p, "%s", 2) == 0) {
            html_text(out, slice_of(va_arg(args, const char *)));
            p += 1;
        } else if (strncmp(p, "%.*s", 4) == 0) {
            int len = va_arg(args, int);
            html_text(out, (struct slice){va_arg(args, const char *), (size_t)len});
            p += 3;
        } else if (strncmp(p, "%u", 2) == 0) {
            buf_addu(out, va_arg(args, unsigned));
            p += 1;
        } else {
            assert(strncmp(p, "%zu", 3) == 0);
            buf_addu(out, va_arg(args, size_t));
            p += 2;
        }
    }
    va_end(args);
}

struct slice html_piece(const char *name)
{
    const struct embedded_file *file = embedded_pages;
    while (file->path && strcmp(file->path, name) != 0)
        file++;
    assert(file->path);
    return (struct slice){(const char *)file->bytes, file->len};
}

static void add_value(struct buf *out, struct slice key, const struct html_value *values,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!slice_is(key, values[i].key))
            continue;
        if (values[i].is_html)
            buf_add(out, values[i].text);
        else
            html_text(out, values[i].text);
    }
}

void html_fill(struct buf *out, const char *name, const struct html_value *values, size_t count)
{
    struct slice rest = html_piece(name);
    const char *open, *close;
    while ((open = memmem(rest.ptr, rest.len, "{{", 2)) &&
           (close = memmem(open, (size_t)(rest.ptr + rest.len - open), "}}", 2))) {
        buf_append(out, rest.ptr, (size_t)(open - rest.ptr));
        add_value(out, (struct slice){open + 2, (size_t)(close - open - 2)}, values, count);
        rest = slice_from(rest, (size_t)(close + 2 - rest.ptr));
    }
    buf_add(out, rest);
}
