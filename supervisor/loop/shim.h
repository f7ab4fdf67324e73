/*
 * shim: what happens between fork and exec, in a program of its own.
 *
 * libuv's spawn has no hook for what a supervised child needs: its own process
 * group, death with its parent, a protocol descriptor, no inherited signal masks.
 * So nodey starts each child as `nodey __exec PARENT CWD COMMAND...`, which sets
 * these and then becomes the command.
 */
#pragma once

/* The hidden verb. */
#define SHIM_VERB "__exec"

/*
 * Runs the verb; argv[0] is the parent's pid.  Does not return when it succeeds;
 * otherwise says why on fd 1, as a start-up error frame, and returns the exit code.
 */
int shim_main(int argc, char **argv);
