/*
 * shellwords: what looks as if it were meant for a shell, where none is.
 *
 * A command that is a string is split into words and run as it is. Whoever writes "a && b" gets
 * "a" with two words more, which it may even take without a complaint.
 */
#pragma once

#include "config/document.h"
#include "config/journal.h"

/*
 * The first word of the text that only a shell understands, outside of quotes: "&&", "|",
 * ">file", "x;", "$(date)".  Empty: there is none.  Borrows.
 */
struct slice shellwords_find(struct slice text);

/* Notes it when `command` of this table has one. */
void shellwords_note(struct journal *, const struct document *, const struct toml_node *table);
