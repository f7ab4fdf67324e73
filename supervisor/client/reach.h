/*
 * reach: a nodey that is up, for commands that tell it something or ask it.
 *
 * Each says on stderr what went wrong and returns the exit code: 0, EXIT_REFUSED for what nodey
 * refused, EXIT_UNREACHABLE when none is up.
 */
#pragma once

#include "base/json.h"
#include "client/session.h"

/* Finds the nodey of this configuration; starts none. */
int reach_open(struct session *, const char *file) MUST_CHECK;

/*
 * One request.  0, and what came to be deinitialised: `json` is its body.  A problem is told as
 * its `detail`.
 */
int reach_fetch(struct session *, const char *method, const char *target, uint64_t timeout_ms,
                struct client_response *, struct json_value *json) MUST_CHECK;

/* --format: 0, or 2 after saying that only json is known; *as_json says which. */
int reach_format(const char *verb, const char *format, bool *as_json) MUST_CHECK;

/* The time of an option, "30s"; NULL leaves *ms as it is.  0, or 2 after saying what is wrong.
 */
int reach_time(const char *verb, const char *option, const char *text, uint64_t max_ms,
               uint64_t *ms) MUST_CHECK;

/* A word as it may stand in a path: what may not is percent-encoded.  The caller frees it. */
char *reach_encode(const char *word);
