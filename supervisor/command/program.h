/*
 * program: one program of a configuration, for commands that do something in its place.
 */
#pragma once

#include "client/options.h"
#include "config/config.h"

/* The program of that name; or NULL, after saying on stderr that there is none, and which is
 * near. */
const struct worker_config *command_program(const struct config *, const char *name);

/*
 * A command that needs a program's name had none: `what` says so ("nodey stop needs the name of
 * a program"), and the names there are follow.  Returns 2.
 */
int command_needs_name(const char *verb, const char *file, const char *what);

/*
 * The environment that it gets, without what makes a process one of its instances
 * (NODEY_FD, NODEY_INSTANCE ...): who runs with it is none.  "NAME=value", NULL-terminated;
 * environment_free() frees it.  NULL with a sentence when the SDKs cannot be unpacked.
 * as_another: another user is to use it, who must be able to read the SDKs.
 */
char **command_environment(const struct config *, const struct worker_config *, bool as_another,
                           struct err *);

/* What `name` is in it, or NULL. */
const char *command_variable(char *const *env, const char *name);

/*
 * Becomes the command, found on PATH.  Returns only when it cannot, and said so: 126, or 127
 * when there is no such command.
 */
int command_become(const char *const *words, size_t count);
