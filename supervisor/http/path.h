/*
 * path: percent-encoding and dot segments, so that everybody behind sees one form.
 * Pure.
 */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

/*
 * Resolves "." and ".." segments (also written %2e) of an origin-form path, never
 * above the root.  Duplicate slashes and all other escapes stay as they are; "%2F"
 * separates nothing.  Returns NULL and sets *out (borrowed when nothing changed,
 * else in the arena), or a sentence: an escape is malformed or stands for NUL.
 */
const char *path_resolve(struct slice path, struct arena *, struct slice *out);

/*
 * The bytes that a piece of a path stands for: borrowed when it has no escapes, else
 * in the arena.  False when an escape is malformed or stands for NUL.
 */
bool path_decode(struct slice piece, struct arena *, struct slice *out);
