/*
 * input: what the words of a command line stand for.
 */
#pragma once

#include "base/buf.h"

/*
 * Appends what a word stands for: itself, the file of "@FILE", or stdin for "-".  0, or
 * EXIT_REFUSED after saying on stderr what cannot be read.
 */
int input_read(const char *word, struct buf *);

/* A time such as "5s" as milliseconds; NULL is 0.  0, or 2 after saying what is wrong. */
int input_timeout(const char *verb, const char *text, uint64_t *ms);
