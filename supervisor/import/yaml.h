/*
 * yaml: a YAML file, or a JSON file, as a tree.
 *
 * Anchors, aliases and merge keys ("<<") are followed.  Whatever the bytes are, it ends
 * soon: size, depth, members of a map and what aliases multiply are bounded.
 */
#pragma once

#include "import/tree.h"

enum {
    YAML_MAX_FILE = 1024 * 1024, /* bytes */
    YAML_MAX_DEPTH = 64,         /* maps and lists inside each other */
    YAML_MAX_MEMBERS = 1024,     /* of one map or list */
    YAML_MAX_WEIGHT = 200000,    /* values of all, as if nothing were shared */
};

/*
 * The first document of the text; NULL with "file:line:column: cause".  `*more`, if it
 * is asked for, tells whether another document follows.
 */
const struct tree *tree_parse(struct arena *, struct slice text, const struct source *,
                              bool *more, struct err *);

/* The file at `path`, called `shown`; NULL with a sentence, and err->code -ENOENT if it is not
 * there. */
const struct tree *tree_read(struct arena *, const char *path, const char *shown, bool *more,
                             struct err *);
