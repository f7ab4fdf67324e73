/*
 * topic: names of messages, and patterns of them.  Pure.
 *
 * A topic is tokens with dots between, "comment.created": each token has one or more of
 * [A-Za-z0-9_-], at most TOPIC_MAX bytes in all.  In a pattern "*" stands for exactly one
 * token and a last ">" for one or more, as in NATS.
 *
 * Here and not in bus/, because what workers declare and what is configured is checked by it.
 */
#pragma once

#include "base/slice.h"

enum { TOPIC_MAX = 255 };

/* NULL, or a static sentence: why this is no topic, or no pattern. */
const char *topic_check(struct slice topic);
const char *topic_pattern_check(struct slice pattern);

/* Both have been checked. */
bool topic_matches(struct slice pattern, struct slice topic);

/* Is there a topic that both patterns match? */
bool topic_patterns_overlap(struct slice a, struct slice b);
