/*
 * environ: the environment of a worker's process.
 *
 * What all workers get, then the configuration's own, then what the protocol says of
 * this instance; a later entry of the same name wins.
 */
#pragma once

struct worker;

/* "NAME=value" strings, NULL-terminated. */
char **environ_new(const struct worker *);
void environ_free(char **);
