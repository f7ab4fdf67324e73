/*
 * tree: what a YAML or JSON file says, as maps, lists and texts that know their place.
 *
 * Everything lives in an arena and is never changed once it is read: two maps are merged
 * by making a third.  Members may be shared between trees, as aliases share them.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* A file that trees came from. */
struct source {
    const char *shown; /* as the person named it */
    const char *dir;   /* absolute: what relative paths in it are relative to */
    bool made;         /* by a program: its lines are nobody's */
};

enum tree_type { TREE_TEXT, TREE_LIST, TREE_MAP };

struct tree {
    struct tree *next; /* in the same map or list */
    struct slice key;  /* of a map's member; ends with a NUL */
    const struct source *source;
    unsigned line, column; /* from 1; of a map's member: where its key stands */
    enum tree_type type;
    bool plain;        /* of a text: without quotes, so that "no" may mean a boolean */
    struct slice text; /* ends with a NUL, and holds no other; empty for what is no text */
    struct slice tag;  /* such as "!reset"; or empty */
    struct tree *first, *last;
    size_t count;
    size_t weight; /* of all that hangs below, as if nothing were shared */
};

/* An empty tree at the place of another. */
struct tree *tree_new(struct arena *, enum tree_type, const struct tree *place);
struct tree *tree_text_new(struct arena *, struct slice text, const struct tree *place);

/* A copy of `node` that shares what hangs below it is put at the end, under that key. */
struct tree *tree_add(struct arena *, struct tree *parent, struct slice key,
                      const struct tree *node);

/* The member of that name; NULL: there is none, or it is no map (also NULL). */
const struct tree *tree_get(const struct tree *map, const char *key);
const struct tree *tree_find(const struct tree *map, struct slice key);

/* Through several maps: "deploy.resources.limits". */
const struct tree *tree_path(const struct tree *map, const char *path);

/* Nothing at all, or what YAML calls null. */
bool tree_is_null(const struct tree *);

/* A text that is not null. */
bool tree_is_text(const struct tree *);

/* "true", "yes" and "on" of YAML. */
bool tree_is_true(const struct tree *);

/* "FILE:LINE:COLUMN: " and the sentence; -1. */
int tree_fail(const struct tree *, struct err *, const char *fmt, ...) PRINTF_LIKE(3, 4);
