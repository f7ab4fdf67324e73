/*
 * question: an ask, sent by a command.
 */
#pragma once

#include "client/session.h"

/* Are these arguments, one JSON value?  0, or 2 after saying on stderr what is wrong. */
int question_check(struct slice args);

/*
 * Asks and prints the value, or on stderr why there is none.  args: JSON, empty = null;
 * timeout_ms 0: 30 s.  Returns the exit code.
 */
int question_send(struct session *, const char *token, struct slice args, uint64_t timeout_ms,
                  bool no_color);
