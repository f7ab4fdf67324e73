/*
 * traceback: the places in a program that a stack, as Python or Node print it, names.
 *
 * Pure.  What it finds is text that came from a worker: whether such a file may be
 * looked into is for the caller to decide.
 */
#pragma once

#include "base/slice.h"

enum { TRACE_FILE_MAX = 1024 };

struct trace_frame {
    char file[TRACE_FILE_MAX]; /* absolute */
    unsigned line;             /* from 1 */
    struct slice where;        /* the function; borrowed; may be empty */
};

/*
 * Finds the next place from *at on, which begins as 0 and moves behind it.  Understood:
 *     File "/app/fib.py", line 12, in fib
 *     at fib (/app/fib.js:12:9)
 *     at async file:///app/fib.mjs:12:9
 * /app/fib.js:12       (of a syntax error, at the begin of a line)
 */
bool traceback_next(struct slice text, size_t *at, struct trace_frame *);

/* True for Python's, where the innermost place comes last. */
bool traceback_is_python(struct slice text);
