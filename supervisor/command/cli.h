/*
 * cli: the command line.
 */
#pragma once

#include <stddef.h>

/* What `nodey VERB` does; all that is told of verbs derives from these. */
struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* what follows the verb */
    const char *usage;                 /* NULL: another name of the one above, or hidden */
    const char *help;
    const char *more; /* of `nodey help VERB`, below the usage */
};

/* The n-th verb, in the order in which they are shown; NULL past the last. */
const struct verb *cli_verb(size_t n);

/* Runs the verb of argv[1]; returns the exit code (2 = wrong usage). */
int cli_run(int argc, char **argv);
