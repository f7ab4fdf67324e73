/*
 * reach: a nodey that is up, for commands that tell it something or ask it.
 *
 * Each says on stderr what went wrong and returns the exit code: 0, EXIT_REFUSED for what nodey
 * refused, EXIT_UNREACHABLE when none is up.
 */
#pragma once

#include "base/json.h"
#include "client/reach_text.h"

/*
 * One request.  0, and what came to be deinitialised: `json` is its body.  A problem is told as
 * its `detail`.
 */
int reach_fetch(struct session *, const char *method, const char *target, uint64_t timeout_ms,
                struct client_response *, struct json_value *json) MUST_CHECK;

/* The same with a body of JSON. */
int reach_post(struct session *, const char *target, struct slice body,
               struct client_response *, struct json_value *json) MUST_CHECK;

/*
 * GETs what has no end but nodey's: `line` is called for each line of it, without its LF, until
 * it returns false.  0 when it ended so, or as it should.
 */
int reach_follow(struct session *, const char *target, bool (*line)(void *arg, struct slice),
                 void *arg) MUST_CHECK;
