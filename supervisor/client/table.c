#include "client/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"

enum { GAP = 2, WIDTH_USUAL = 80, WIDTH_MIN = 20 };

void table_init(struct table *t, const struct column *columns, size_t count)
{
    *t = (struct table){.columns = columns, .width = count};
}

void table_deinit(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        xfree(t->cells[i].text);
    xfree(t->cells);
    *t = (struct table){0};
}

void table_add(struct table *t, enum tint tint, const char *text)
{
    size_t len = strlen(text);
    char *copy = xstrndup(text, len);
    bool is_utf8 = utf8_valid((struct slice){text, len});
    for (char *c = copy; *c; c++) /* a row is a line, and paints nothing */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
        else if (!is_utf8 && (unsigned char)*c >= 0x80)
            *c = '?';
    t->cells = xrealloc(t->cells, (t->count + 1) * sizeof(*t->cells));
    t->cells[t->count++] = (struct cell){copy, tint};
}

void table_addf(struct table *t, enum tint tint, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    table_add(t, tint, text);
}

void table_paint(struct buf *out, enum tint tint, bool colour, struct slice text)
{
    static const char *const codes[] = {
        [TINT_NONE] = "",        [TINT_GOOD] = "\x1b[32m", [TINT_WARN] = "\x1b[33m",
        [TINT_BAD] = "\x1b[31m", [TINT_DIM] = "\x1b[2m",   [TINT_BOLD] = "\x1b[1m"};
    bool painted = colour && tint != TINT_NONE;
    if (painted)
        buf_adds(out, codes[tint]);
    buf_add(out, text);
    if (painted)
        buf_adds(out, "\x1b[0m");
}

size_t table_terminal(int fd)
{
    struct winsize size;
    if (!isatty(fd))
        return 0;
    const char *columns = getenv("COLUMNS");
    long wanted = columns ? strtol(columns, NULL, 10) : 0;
    if (wanted <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        wanted = size.ws_col;
    return wanted > 0 ? MAX((size_t)wanted, (size_t)WIDTH_MIN) : WIDTH_USUAL;
}

/* --------------------------------------------------------------------- measuring */

/* Characters, taken for one column each. */
static size_t length(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static size_t rows_of(const struct table *t)
{
    return t->count / t->width;
}

/* 0: the column is left out, because nothing is in it. */
static void measure(const struct table *t, size_t *widths)
{
    for (size_t c = 0; c < t->width; c++) {
        bool is_empty = true;
        widths[c] = length(t->columns[c].title);
        for (size_t r = 0; r < rows_of(t); r++) {
            size_t len = length(t->cells[r * t->width + c].text);
            widths[c] = MAX(widths[c], len);
            is_empty = is_empty && len == 0;
        }
        if (is_empty && rows_of(t))
            widths[c] = 0;
    }
}

static size_t total(const struct table *t, const size_t *widths)
{
    size_t sum = 0;
    for (size_t c = 0; c < t->width; c++)
        if (widths[c])
            sum += widths[c] + (sum ? GAP : 0);
    return sum;
}

static void shrink(const struct table *t, size_t *widths, size_t columns)
{
    for (size_t c = t->width; c-- > 0 && total(t, widths) > columns;) {
        size_t over = total(t, widths) - columns, least = length(t->columns[c].title);
        if (t->columns[c].shrinks && widths[c] > least)
            widths[c] -= MIN(over, widths[c] - least);
    }
}

static void drop(const struct table *t, size_t *widths, size_t columns)
{
    while (total(t, widths) > columns) {
        size_t worst = t->width;
        for (size_t c = 0; c < t->width; c++)
            if (widths[c] && t->columns[c].dropped &&
                (worst == t->width || t->columns[c].dropped > t->columns[worst].dropped))
                worst = c;
        if (worst == t->width)
            return;
        widths[worst] = 0;
    }
}

/* ----------------------------------------------------------------------- writing */

static void pad(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_addc(out, ' ');
}

/* The first `width` characters, the last of them an ellipsis if there are more. */
static struct slice cut(const char *text, size_t width, struct buf *scratch)
{
    if (length(text) <= width)
        return slice_of(text);
    const char *at = text;
    for (size_t n = 0; n + 1 < width; n++)
        do
            at++;
        while (((unsigned char)*at & 0xc0) == 0x80);
    buf_clear(scratch);
    buf_append(scratch, text, (size_t)(at - text));
    buf_adds(scratch, "\xe2\x80\xa6");
    return buf_slice(scratch);
}

static void write_row(const struct table *t, const size_t *widths, const struct cell *row,
                      bool colour, struct buf *out)
{
    struct buf scratch = {0};
    size_t owed = 0; /* blanks: none is left at the end of a line */
    bool first = true;
    for (size_t c = 0; c < t->width; c++) {
        if (!widths[c])
            continue;
        const char *text = row ? row[c].text : t->columns[c].title;
        struct slice shown = cut(text, widths[c], &scratch);
        size_t space = widths[c] - MIN(widths[c], length(text));
        owed += (first ? 0 : GAP) + (t->columns[c].right ? space : 0);
        first = false;
        if (shown.len) {
            pad(out, owed);
            owed = 0;
            table_paint(out, row ? row[c].tint : TINT_DIM, colour, shown);
        }
        owed += t->columns[c].right ? 0 : space;
    }
    buf_addc(out, '\n');
    buf_deinit(&scratch);
}

void table_write(const struct table *t, size_t columns, bool colour, struct buf *out)
{
    size_t *widths = xcalloc(t->width, sizeof(*widths));
    measure(t, widths);
    if (columns) {
        shrink(t, widths, columns);
        drop(t, widths, columns);
        shrink(t, widths, columns);
    }
    write_row(t, widths, NULL, colour, out);
    for (size_t r = 0; r < rows_of(t); r++)
        write_row(t, widths, &t->cells[r * t->width], colour, out);
    xfree(widths);
}
