/*
 * reach_text: the part of reach.h that has no JSON in it, for who reads answers by trees.
 */
#pragma once

#include "client/session.h"

/* Finds the nodey of this configuration; starts none. */
int reach_open(struct session *, const char *file) MUST_CHECK;

/* A GET, or a POST when there is a body.  0, and an answer to be deinitialised. */
int reach_text(struct session *, const char *target, struct slice body,
               struct client_response *) MUST_CHECK;

/* --format: 0, or 2 after saying that only json is known; *as_json says which. */
int reach_format(const char *verb, const char *format, bool *as_json) MUST_CHECK;

/* The time of an option, "30s"; NULL leaves *ms as it is.  0, or 2 after saying what is wrong.
 */
int reach_time(const char *verb, const char *option, const char *text, uint64_t max_ms,
               uint64_t *ms) MUST_CHECK;

/* A word as it may stand in a path: what may not is percent-encoded.  The caller frees it. */
char *reach_encode(const char *word);
