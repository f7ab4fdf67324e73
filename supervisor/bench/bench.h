/*
 * bench: `nodey bench`, which measures: a server of yours, or what a pipe costs against
 * an HTTP bridge.
 */
#pragma once

/* The words behind the verb; returns the exit code, 128 + the signal when it was stopped. */
int command_bench(int argc, char **argv);

/* What `nodey help bench` says below its first line. */
extern const char command_bench_help[];
