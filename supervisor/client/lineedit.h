/*
 * lineedit: one line after the other from a person or from a pipe.
 *
 * On a terminal the line can be edited (arrows, Home, End, Ctrl-A E K U W L) and those
 * before it come back with the arrows; they are forgotten at the end.  Elsewhere lines
 * are read as they are, and no prompt is printed.
 */
#pragma once

#include "base/buf.h"

enum { LINEEDIT_HISTORY = 200 };

struct lineedit {
    bool is_terminal; /* standard input and output are one that can be edited on */
    char *history[LINEEDIT_HISTORY];
    size_t count;    /* of history, the newest last */
    struct buf line; /* what is being edited */
    size_t cursor;   /* bytes of it before the cursor */
    size_t browsed;  /* 0: the line itself; n: the nth newest of history stands for it */
    char *kept;      /* the line itself meanwhile */
};

void lineedit_init(struct lineedit *);
void lineedit_deinit(struct lineedit *);

/*
 * The next line, without its LF, valid until the next call.  NULL at the end of input,
 * and for Ctrl-C on an empty line.
 */
const char *lineedit_read(struct lineedit *, const char *prompt);
