/*
 * shim: what happens between fork and exec, in a program of its own.
 *
 * libuv's spawn has no hook for what a supervised child needs: its own process
 * group, death with its parent, a protocol descriptor, no inherited signal masks, and
 * the limits and the user that it is confined to.
 * So nodey starts each child as `nodey __exec PARENT [--option...] CWD COMMAND...`,
 * which arranges these and then becomes the command.
 *
 * What cannot be arranged or run ends it with a sentence and the status that shells give:
 * 127 for a command that is not there, 126 for everything else.  A worker's shim says so by
 * a start-up error frame on its output, a plain child's by a line on its error output.
 */
#pragma once

#include <sys/types.h>

#include "loop/confine.h"

/* The hidden verb. */
#define SHIM_VERB "__exec"

/* The exit statuses of a child that never became its command. */
enum { SHIM_CANNOT_RUN = 126, SHIM_NOT_FOUND = 127 };

/* What the line of a plain child begins with, by which it is known from one that ran. */
#define SHIM_SAYS "nodey: cannot "

/* The whole argv, to be freed with shim_command_free(). */
char **shim_command(pid_t parent, const struct confine *, const char *cwd,
                    const char *const *argv);
void shim_command_free(char **);

/*
 * Runs the verb; argv[0] is the parent's pid.  Does not return when it succeeds;
 * otherwise says why, and returns the exit code.
 */
int shim_main(int argc, char **argv);
