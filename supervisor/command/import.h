/*
 * import: `nodey import`, what other tools are told by their files, as a nodey.toml.
 */
#pragma once

/* The words behind the verb; 0, 1 when something was lost, 2 for wrong usage or a bad file. */
int command_import(int argc, char **argv);

extern const char command_import_help[];
