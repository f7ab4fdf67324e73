/*
 * interpolate: ${NAME} in the strings of a configuration, as in compose files.
 *
 *   $NAME  ${NAME}   its value; empty, with a note, when it is not set
 *   ${NAME:-other}   other when it is not set or empty    ${NAME-other}  when not set
 *   ${NAME:?why}     fails then, with the words given     ${NAME?why}
 *   ${NAME:+other}   other when it is set and not empty   ${NAME+other}  when set
 *   $$               a dollar sign
 *
 * `other` and `why` may hold further ones.  What a variable holds is not looked at again.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/journal.h"
#include "config/toml.h"

enum {
    INTERPOLATE_MAX_DEPTH = 16,               /* of ${A:-${B:-...}} */
    INTERPOLATE_MAX_BYTES = 16 * 1024 * 1024, /* that one load may make of its strings */
};

struct interpolation {
    struct arena *arena;
    /* The value, which must outlive the arena's use, or NULL. */
    const char *(*look_up)(const void *arg, struct slice name);
    const void *arg;
    const char *file;        /* for places */
    struct journal *journal; /* told of what is not set; NULL: nobody is */
    bool lenient;            /* a "$" that begins no variable is one, as in .env files */
    size_t made;             /* bytes so far */
    struct err *err;
};

/* A letter or "_", then also digits: the length of the name that the text begins with. */
size_t interpolate_name(struct slice text);

/* *out is the text itself, or lives in the arena, ended by a NUL.  0, or a sentence. */
int interpolate_text(struct interpolation *, struct slice text, struct toml_place,
                     struct slice *out) MUST_CHECK;

/* Every string of the tree, but no key.  What changed remembers how it was written. */
int interpolate_tree(struct interpolation *, struct toml_node *) MUST_CHECK;
