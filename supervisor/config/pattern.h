/*
 * pattern: a path as Express writes it, in the words of our router (http/router.h).  Pure.
 */
#pragma once

#include "base/arena.h"

struct patterns {
    const char *items[3]; /* a segment that may be missing makes two */
    size_t count;
    const char *note; /* a static sentence, when they are not quite the same; or NULL */
};

/*
 * Understood are ":id" as a segment, ":id(\\d+)" without its condition, ":id?" or "{/:id}"
 * as the last one, and what takes the rest of a path: "*", "*rest", "{*rest}", "(.*)" and
 * "api*".  Everything is in the arena.  0, or -1 and a static sentence.
 */
int pattern_from_express(struct arena *, const char *path, struct patterns *,
                         const char **why) MUST_CHECK;
