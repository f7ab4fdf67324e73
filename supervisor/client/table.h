/*
 * table: rows of words in columns, for a person; as wide as the terminal and no wider.
 *
 * When they are too wide, first the columns that may shrink are cut, then those that matter
 * least are left out.
 */
#pragma once

#include "base/buf.h"

enum tint { TINT_NONE, TINT_GOOD, TINT_WARN, TINT_BAD, TINT_DIM, TINT_BOLD };

struct column {
    const char *title;
    bool right;       /* numbers */
    bool shrinks;     /* may be cut, to at least its title */
    unsigned dropped; /* 0: never left out; the highest goes first */
};

struct cell {
    char *text;
    enum tint tint;
};

struct table {
    const struct column *columns;
    size_t width; /* columns */
    struct cell *cells;
    size_t count; /* of cells: whole rows of them */
};

/* The columns must outlive it. */
void table_init(struct table *, const struct column *columns, size_t count);
void table_deinit(struct table *);

/* The next cell, row by row; what would harm a terminal is replaced. */
void table_add(struct table *, enum tint, const char *text);
void table_addf(struct table *, enum tint, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Appends the titles and the rows, each with its LF.  columns: of the terminal; 0 = no limit.
 * Columns in which no row has anything are left out.
 */
void table_write(const struct table *, size_t columns, bool colour, struct buf *out);

/* Appends text in this colour. */
void table_paint(struct buf *, enum tint, bool colour, struct slice text);

/* Columns of the terminal at this descriptor; 0 when it is none. */
size_t table_terminal(int fd);
