/*
 * printable: what others wrote, so that it cannot paint over a terminal.
 *
 * Control characters and bytes that are no UTF-8 are shown as \xNN.  Colours (ESC [ ... m) are
 * passed on where they are wanted, and left out elsewhere: they do no harm and are no text.
 */
#pragma once

#include "base/buf.h"

struct printable {
    bool colours;       /* the reader wants those of the text; they end with it */
    size_t indent;      /* blanks in front of the lines after the first */
    const char *gutter; /* and what stands behind these; may be NULL */
};

/* Appends the text, which may have several lines. */
void printable_add(struct buf *, struct slice text, const struct printable *);
