/*
 * intake: the lines that a worker's process writes.
 *
 * A worker is not trusted: no line is fatal, and no line reaches anybody but those
 * whose id it carries and whose work the process can have done (PROTOCOL.md,
 * malformed input).
 */
#pragma once

#include "base/slice.h"

struct worker;

/* What the process wrote to its protocol pipe, and to its error output: bytes used up. */
size_t intake_out(struct worker *, struct slice bytes);
size_t intake_err(struct worker *, struct slice bytes);

/* The process has ended: an unfinished line is a log line. */
void intake_end(struct worker *);

/* It lives and says nothing, and is configured to need to say nothing: level 0. */
void intake_level0(struct worker *);
