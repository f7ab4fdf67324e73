#include "app/traceback.h"

#include "base/base.h"

enum { LINE_NUMBER_MAX = 10000000 };

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* A path, or a file:// address, whose bytes may be percent-encoded. */
static bool take_file(struct slice text, struct trace_frame *frame)
{
    bool encoded = slice_starts(text, SLICE("file://"));
    size_t len = 0;
    if (encoded)
        text = slice_from(text, 7);
    if (!text.len || text.ptr[0] != '/' || text.len >= TRACE_FILE_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (encoded && c == '%' && i + 2 < text.len && hex(text.ptr[i + 1]) >= 0 &&
            hex(text.ptr[i + 2]) >= 0) {
            c = (char)(hex(text.ptr[i + 1]) * 16 + hex(text.ptr[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return false;
        frame->file[len++] = c;
    }
    frame->file[len] = '\0';
    return true;
}

static bool take_line(struct slice digits, struct trace_frame *frame)
{
    uint64_t line;
    if (!slice_to_u64(digits, LINE_NUMBER_MAX, &line) || line == 0)
        return false;
    frame->line = (unsigned)line;
    return true;
}

static struct slice leading_digits(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9')
        n++;
    return (struct slice){text.ptr, n};
}

/* File "/app/fib.py", line 12, in fib */
static bool read_python(struct slice text, struct trace_frame *frame)
{
    static const struct slice middle = {"\", line ", 8}, last = {", in ", 5};
    if (!slice_starts(text, SLICE("File \"")))
        return false;
    text = slice_from(text, 6);
    const char *end = memmem(text.ptr, text.len, middle.ptr, middle.len);
    if (!end)
        return false;
    struct slice file = {text.ptr, (size_t)(end - text.ptr)};
    struct slice rest = slice_from(text, file.len + middle.len);
    struct slice digits = leading_digits(rest);
    rest = slice_from(rest, digits.len);
    frame->where = slice_starts(rest, last) ? slice_from(rest, last.len) : (struct slice){0};
    return take_file(file, frame) && take_line(digits, frame);
}

/* Takes ":12" off the end. */
static bool cut_number(struct slice *text, struct slice *digits)
{
    size_t n = text->len;
    while (n > 0 && text->ptr[n - 1] >= '0' && text->ptr[n - 1] <= '9')
        n--;
    if (n == 0 || n == text->len || text->ptr[n - 1] != ':')
        return false;
    *digits = slice_from(*text, n);
    text->len = n - 1;
    return true;
}

/* "/app/fib.js:12" or "/app/fib.js:12:9" */
static bool read_place(struct slice text, struct trace_frame *frame)
{
    struct slice last, line;
    if (!cut_number(&text, &last))
        return false;
    if (!cut_number(&text, &line))
        line = last;
    return take_file(text, frame) && take_line(line, frame);
}

/* at fib (/app/fib.js:12:9) */
static bool read_node(struct slice text, struct trace_frame *frame)
{
    if (!slice_starts(text, SLICE("at ")))
        return false;
    text = slice_from(text, 3);
    frame->where = (struct slice){0};
    const char *open = memmem(text.ptr, text.len, " (", 2);
    if (open && text.ptr[text.len - 1] == ')') {
        frame->where = (struct slice){text.ptr, (size_t)(open - text.ptr)};
        text = slice_from(text, frame->where.len + 2);
        text.len--;
    } else if (slice_starts(text, SLICE("async "))) {
        text = slice_from(text, 6);
    }
    return read_place(text, frame);
}

bool traceback_next(struct slice text, size_t *at, struct trace_frame *frame)
{
    while (*at < text.len) {
        struct slice rest = slice_from(text, *at);
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        struct slice line = {rest.ptr, lf ? (size_t)(lf - rest.ptr) : rest.len};
        struct slice inner = slice_trim(line);
        *at += line.len + 1;
        if (read_python(inner, frame) || read_node(inner, frame))
            return true;
        frame->where = (struct slice){0};
        if (inner.len == line.len && read_place(line, frame))
            return true;
    }
    return false;
}

bool traceback_is_python(struct slice text)
{
    return text.len && memmem(text.ptr, text.len, "  File \"", 8) != NULL;
}
