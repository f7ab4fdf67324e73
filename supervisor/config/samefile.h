/*
 * samefile: is a path one of a program's own files?
 */
#pragma once

#include <stdbool.h>

/*
 * True when `path` is the file `known`, whatever its name, or lies in the folder `root` (NULL:
 * none).  What is not there is compared by its name alone.
 */
bool is_program_file(const char *path, const char *known, const char *root);
