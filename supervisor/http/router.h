/*
 * router: method and path to whoever serves them.  Pure.
 *
 * A pattern is a path whose segments are literal, ":name" (one segment that is not
 * empty) or, last, "*" or "*name": the rest, which may be empty and may lack its slash,
 * so that "*" behind "/files/" matches "/files", "/files/" and "/files/a/b".  A slash at
 * the end counts: "/a" and "/a/" are two paths, and neither pattern matches the other.
 * Paths are matched percent-decoded, and so are the patterns' literals, except that an
 * encoded slash does not separate segments.
 *
 * Of the routes that fit path and method the most specific one wins, segment by
 * segment from the left: literal before ":name" before "*".  Among equal patterns one
 * for this very method goes before one for any, and then the first added wins.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct router;

enum { ROUTER_MAX_PARAMS = 16 };

enum router_verdict { ROUTER_FOUND, ROUTER_NOT_FOUND, ROUTER_METHOD };

struct router_match {
    void *target;
    struct field params[ROUTER_MAX_PARAMS]; /* values decoded, in the arena; "*" is named "*" */
    size_t param_count;
    struct slice allow; /* ROUTER_METHOD: "GET, HEAD, POST", in the arena */
};

struct router *router_new(void);

/* Takes NULL. */
void router_free(struct router *);

/*
 * Adds a route.  method: upper case, or empty for any.  Returns 0, or -1 with a
 * sentence: the pattern is malformed.  `*taken` is the target that has the same
 * method and an equal pattern already (then nothing is added), else NULL.
 */
int router_add(struct router *, struct slice method, struct slice pattern, void *target,
               void **taken, struct err *) MUST_CHECK;

/*
 * HEAD is served by a GET route when no HEAD route has the same pattern.  Values in
 * the match borrow from `path`, the router and the arena.
 */
enum router_verdict router_find(const struct router *, struct slice method, struct slice path,
                                struct arena *, struct router_match *);
