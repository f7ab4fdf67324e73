/*
 * script: what runs a script, by its name and its neighbours.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

enum script_kind { SCRIPT_OTHER, SCRIPT_PYTHON, SCRIPT_NODE };

/* By the extension alone. */
enum script_kind script_kind(const char *path);

/*
 * The argv that runs `script` (an absolute path), in the arena.  Python comes from
 * a virtual environment, ".venv" or "venv", beside the script or in `dir`, when
 * there is one.  0, or a negative code and a sentence that calls the script `shown`.
 */
int script_argv(struct arena *, const char *script, const char *shown, const char *dir,
                struct string_list *argv, struct err *) MUST_CHECK;
