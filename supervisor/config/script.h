/*
 * script: what runs a script, by its name, its first line and its neighbours.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"
#include "config/node.h"

enum script_kind { SCRIPT_OTHER, SCRIPT_PYTHON, SCRIPT_NODE };

/*
 * Stand in argv for the files of the SDKs that run a script and explain why one does not
 * start.  Where the SDKs are is known to whoever unpacks them: see sdk_resolve().  By its
 * path, not by `-m`, which a nodey.py of the user's would get in the way of.
 */
#define SCRIPT_NODE_RUN   "@nodey/run.cjs"
#define SCRIPT_PYTHON_RUN "@nodey/run.py"

struct script {
    const char *path;          /* absolute */
    const char *shown;         /* as sentences call it, quotes included; NULL: they do not */
    const char *dir;           /* absolute: the configuration's */
    const char *venv;          /* absolute: the virtual environment; NULL: look for one */
    struct node_version *node; /* kept between scripts; NULL: asked for each TypeScript */
};

/* By the extension alone. */
enum script_kind script_kind(const char *path);

/* Its first line says that Node runs it. */
bool script_is_for_node(const char *path);

/* A program by this name, or at this path, can be run. */
bool script_is_installed(const char *program);

/* What runs files with this extension when their first line does not say; or NULL. */
const char *script_interpreter(const char *path);

/* The extension of TypeScript. */
bool script_is_typescript(const char *path);

/*
 * The argv that runs a script, in the arena.
 *
 * Python and JavaScript go through their SDK's runner.  A virtual environment, ".venv"
 * or "venv", is used when it stands beside a Python script, or in a folder above it up
 * to `dir`.  Otherwise a first line "#!" says what runs a script, when that is
 * installed; then the extension; and any other file must be executable.
 *
 * 0, or a negative code and a sentence.
 */
int script_argv(struct arena *, const struct script *, struct string_list *argv,
                struct err *) MUST_CHECK;

/*
 * The argv that serves an application of Python's ("shop.wsgi:application"), in the arena.
 * `path` is any in the folder that it is imported from; only the virtual environment is
 * looked for.
 */
int script_app_argv(struct arena *, const struct script *, const char *app,
                    struct string_list *argv, struct err *) MUST_CHECK;
