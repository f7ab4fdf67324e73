/*
 * environment: what every worker of a run finds in its environment; pool/environ.c adds
 * what one instance does.
 */
#pragma once

#include "app/sdk.h"

/* An id for NODEY_RUN, 33 bytes with its end: processes of this run are known by it. */
void environment_new_run(char *text, size_t size);

/* Ours, with the SDKs' folders in front.  "NAME=value", NULL-terminated. */
char **environment_new(const struct sdk *, const char *run);

/* For workers that inherit nothing: they must still find their interpreters. */
char **environment_new_bare(const struct sdk *, const char *run);

/*
 * What a program finds in all of its environment, without what makes a process one of its
 * instances (NODEY_FD, NODEY_INSTANCE ...): who runs with it is none.
 */
char **environment_of(const struct sdk *, const struct worker_config *);

/* "NAME=first", with what NAME inherits behind it; freed by the caller. */
char *environment_path(const char *name, const char *first);

/* Takes NULL. */
void environment_free(char **);
