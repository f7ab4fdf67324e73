/*
 * keeper: ends what nodey leaves when it is killed.
 *
 * A worker dies with its supervisor (see loop/shim.h), but what a worker started
 * does not.  The keeper is a second, tiny process that waits for nodey's end and then
 * kills every process that carries this run's NODEY_RUN in its environment.
 */
#pragma once

/* The hidden verb. */
#define KEEPER_VERB "__keeper"

/*
 * Starts the keeper of this run, before the first child and the first thread.  Without
 * one (no memory, no descriptors) nodey runs on.
 */
void keeper_start(const char *run);

/* Runs the verb: waits for the end of fd 0, then sweeps.  Returns the exit code. */
int keeper_main(int argc, char **argv);
