/*
 * cli: the command line.
 */
#pragma once

/* Runs the verb of argv[1]; returns the exit code (2 = wrong usage). */
int cli_run(int argc, char **argv);
