/*
 * show: what commands print, for a person on a terminal and for a program behind a pipe.
 */
#pragma once

#include <stdio.h>

#include "base/buf.h"

/* May this stream be coloured?  Like the log: on a terminal, and NO_COLOR forbids it. */
bool show_colour(FILE *, bool no_color);

/*
 * Appends JSON text indented by two, each member and item on a line of its own; numbers
 * and strings stay as they are written.  False, and nothing appended, when it is no JSON.
 */
bool show_json(struct buf *, struct slice text, bool colour);

/* Can it be printed on a terminal without harm?  UTF-8 without control characters. */
bool show_is_text(struct slice);

/* Writes all of it; a reader that has gone is no failure. */
void show_write(FILE *, struct slice);
