/*
 * sdk: puts the embedded SDKs where Python and Node find them.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

struct sdk {
    char *python; /* for PYTHONPATH */
    char *node;   /* for NODE_PATH */
};

/*
 * Unpacks below data_dir/sdk, in a folder named for the version.  Files that are
 * there already are compared, not trusted.  0, or -1 with a sentence.
 */
int sdk_unpack(struct sdk *, const char *data_dir, struct err *) MUST_CHECK;
void sdk_deinit(struct sdk *);

/*
 * Puts the SDK's own files in place of their placeholders (SCRIPT_NODE_RUN, SCRIPT_PYTHON_RUN)
 * in what starts the workers, and opens them to all users when a program runs as another one.
 * For every configuration, before its workers start.
 */
void sdk_resolve(const struct sdk *, struct config *);

/*
 * Every user may read the SDKs from now on, and go through the data folder to them: what else
 * is in there stays its owner's, file by file.
 */
void sdk_share(const struct sdk *);

/* Placeholders in one argv, whose new words live in the arena. */
void sdk_resolve_argv(const struct sdk *, struct arena *, struct string_list *argv);

/*
 * `import` does not look at NODE_PATH: for a script that imports, nodey is linked
 * as node_modules/nodey beside it, unless one is installed there.
 */
void sdk_link_modules(const struct sdk *, const struct config *);
