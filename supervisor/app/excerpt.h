/*
 * excerpt: a few lines of a source file around one of them.
 */
#pragma once

#include "base/buf.h"

enum {
    EXCERPT_BEFORE = 4,
    EXCERPT_AFTER = 3,
    EXCERPT_FILE_MAX = 1 << 20, /* of a larger file only this much is looked at */
    EXCERPT_LINE_MAX = 240,     /* bytes of a line that are shown */
};

struct excerpt {
    struct buf text; /* whole lines, each with its LF and cut to EXCERPT_LINE_MAX */
    unsigned first;  /* the number of the first of them */
};

/*
 * Reads the lines around `line` (from 1).  False when the file is none, cannot be read,
 * or has no such line; then nothing is held.
 */
bool excerpt_read(const char *path, unsigned line, struct excerpt *);
void excerpt_deinit(struct excerpt *);
