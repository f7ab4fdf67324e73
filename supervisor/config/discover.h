/*
 * discover: the drop-in scripts in `workers/`.
 *
 * A file becomes a worker when it is a script that speaks to nodey, a web app, or
 * executable; see config/program.h.  It is named after itself without its extension.  A
 * folder with a package.json, an index.js, a __main__.py, main.py or app.py is one worker,
 * named after the folder, if anything in it speaks to nodey, or its main file is a web app.
 * Other folders are searched as well, one level deep; where a name is not unique, a script
 * in a folder is named "folder-name".  Scripts run in the configuration's folder, as
 * configured workers do; a folder that is one worker runs in itself.  A script of Node that
 * another program loads is a module of that, and no worker.
 *
 * What begins with "." or "_", node_modules, virtual environments and data files are
 * passed by without a word; for all else that is left out there is a note.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

enum {
    DISCOVER_MAX_SCRIPTS = 256,
    DISCOVER_MAX_NOTES = 20, /* about what was left out */
    DISCOVER_MAX_NAMED = 8,  /* in the note about what was taken; more are counted */
};

struct discovered {
    const char *name;
    const char *path;           /* absolute; of a folder that is one worker: its main file */
    const char *shown;          /* "workers/dual/stock.js", quotes included, for sentences */
    const char *folder;         /* "dual", or NULL right in workers/ */
    const char *root;           /* absolute: the folder, if that is the worker; else NULL */
    const char *app;            /* of a Django project, which `root` is; else NULL */
    struct string_list command; /* see script_argv(); none with an app */
};

struct discovery {
    struct discovered *scripts; /* sorted by name */
    size_t count;
    struct string_list notes; /* first what was taken; then what was left out, and why */
    const char **paths;       /* of the notes: absolute, what each is about, or NULL */
    bool missing;             /* there is no workers/ */
};

/* True when `name` may be a worker's: [A-Za-z0-9_][A-Za-z0-9_.-]{0,63}. */
bool worker_name_valid(struct slice name);

/* Looks into `dir`/workers.  Everything is in the arena.  0, or a sentence. */
int discover(struct arena *, const char *dir, struct discovery *, struct err *) MUST_CHECK;

/* True when one of the programs loads the file (absolute): a module needs no note. */
bool discover_is_module(const struct discovery *, const char *path);
