/*
 * members: values out of JSON text by their names, for commands: not for the hot path.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"

/* The whole text is one JSON value: true, and the value borrows from it. */
bool members_read(struct slice text, struct json_value *out);

/* The member of that name; of several the last one.  False when it is no object or has none. */
bool members_get(const struct json_value *object, const char *name, struct json_value *out);

/* The text of a string member, which the caller frees; NULL when it is none. */
char *members_text(const struct json_value *object, const char *name);

bool members_is_true(const struct json_value *object, const char *name);

/*
 * Of a worker as the control socket describes it: the first path that it serves for this
 * method and that has no parameters, in the arena; a star at its end is left out.  NULL
 * when there is none.
 */
const char *members_route(const struct json_value *worker, const char *method, struct arena *);
