/*
 * command: the verbs that have a file of their own.
 *
 * Each gets the words behind the verb and returns the exit code: 0, EXIT_REFUSED (the
 * answer is an error, the file is bad ...), 2 for wrong usage, EXIT_UNREACHABLE.
 * The text of each is what `nodey help VERB` says below its first line.
 */
#pragma once

int command_call(int argc, char **argv);
int command_ask(int argc, char **argv);
int command_repl(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_new(int argc, char **argv);
int command_run(int argc, char **argv);

extern const char command_call_help[];
extern const char command_ask_help[];
extern const char command_repl_help[];
extern const char command_reload_help[];
extern const char command_new_help[];
extern const char command_run_help[];
