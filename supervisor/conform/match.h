/*
 * conform_match: is a frame the one that a golden transcript expects?
 *
 * The rules are those of protocol/vectors/README.md.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"

enum { MATCH_BINDINGS = 8 };

/* What {"$bind": NAME} has met. */
struct match_bindings {
    struct {
        char *name;
        char *raw; /* as JSON */
    } items[MATCH_BINDINGS];

    size_t count;
    struct arena arena;
};

/* Does the frame agree with what is expected?  Binds what is to be bound. */
bool match_frame(const struct json_value *expected, const struct json_value *actual,
                 struct match_bindings *);

/* Does the object have at least the members that are expected, and as they should be? */
bool match_has(const struct json_value *expected, const struct json_value *actual,
               struct match_bindings *);

/* Appends a line with each ${NAME} replaced by what it is bound to. */
void match_fill_in(struct slice line, const struct match_bindings *, struct buf *out);
