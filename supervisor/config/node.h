/*
 * node: what the Node that is installed can do with TypeScript.
 *
 * Asked for only when a TypeScript file is found: it starts a process.
 */
#pragma once

#include "base/base.h"

/* `struct node_version v = {0}` has not asked yet. */
struct node_version {
    bool asked;
    unsigned major, minor; /* 0: there is no Node, or it does not say */
    char text[32];         /* "v20.19.2"; "" as above */
};

/* How types get out of the way. */
enum node_types {
    NODE_TYPES_STRIPPED, /* by itself; also when there is no telling: Node will say */
    NODE_TYPES_FLAG,     /* when it is told to: NODE_TYPES_OPTION */
    NODE_TYPES_NEVER,
};

#define NODE_TYPES_OPTION "--experimental-strip-types"

/*
 * Runs `program --version`, once, and waits for it for 2 s at most.  `program` is a
 * path, or a name to look for in PATH.
 */
void node_version_ask(struct node_version *, const char *program);

enum node_types node_types(const struct node_version *);
