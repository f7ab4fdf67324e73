/*
 * discover: the drop-in scripts in `workers/`.
 *
 * A file becomes a worker when it is a .py, .js, .mjs or .cjs, or executable.  It is
 * named after itself without its extension.  Folders in `workers/` are searched as
 * well, one level deep; where a name is not unique, a script in a folder is named
 * "folder-name".  What begins with "." or "_", node_modules and __pycache__ are
 * nobody's worker.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

enum { DISCOVER_MAX_SCRIPTS = 256, DISCOVER_MAX_NOTES = 20 };

struct discovered {
    const char *name;
    const char *path;   /* absolute */
    const char *shown;  /* "workers/dual/stock.js", quotes included, for sentences */
    const char *folder; /* "dual", or NULL right in workers/ */
};

struct discovery {
    struct discovered *scripts; /* sorted by name */
    size_t count;
    struct string_list notes; /* what was left out, and why */
    bool missing;             /* there is no workers/ */
};

/* True when `name` may be a worker's: [A-Za-z0-9_][A-Za-z0-9_.-]{0,63}. */
bool worker_name_valid(struct slice name);

/* Looks into `dir`/workers.  Everything is in the arena.  0, or a sentence. */
int discover(struct arena *, const char *dir, struct discovery *, struct err *) MUST_CHECK;
