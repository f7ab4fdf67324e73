/*
 * conform: does a program speak the worker protocol, and up to which level?
 *
 * Runs it as nodey would and holds the conversations that any program must be able to
 * hold, whatever its routes are.  What goes wrong is told with what was sent, what came,
 * what protocol/PROTOCOL.md says and how to mend it.
 */
#pragma once

#include "client/options.h"

struct conform_options {
    struct word_list words; /* a worker's name or a program, and its arguments */
    bool is_command;        /* the first word is a command to look for on PATH, not a file */
    const char *as;     /* NULL, or which worker of the golden transcripts it claims to be */
    uint64_t answer_ms; /* how long an answer may take; 0: 10 s */
    bool as_json;
    bool no_color;
    bool verbose; /* show what was sent and what came, also where nothing is wrong */
};

/* Returns the exit code: 0 when the program keeps what it declares. */
int conform_run(const struct conform_options *);
