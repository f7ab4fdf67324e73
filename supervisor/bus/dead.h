/*
 * dead: letters about what nobody was able to handle.  Pure but for the message it makes.
 *
 * A dead letter is a message of the stream "dead" with topic, key, data and headers of the
 * original, and one header more, DEAD_HEADER, that says what happened:
 * {"group","stream","id","seq","attempts","time","failed","error":{"name","message","stack"}}.
 */
#pragma once

#include "base/json.h"
#include "bus/message.h"

#define DEAD_HEADER "nodey-dead"

enum { DEAD_NAME_MAX = 200, DEAD_MESSAGE_MAX = 4096, DEAD_STACK_MAX = 16384 };

struct dead_reason {
    struct slice group;
    uint32_t attempts;
    int64_t failed_ms;
    struct slice name, message, stack; /* cut to the measures above */
};

struct message *dead_letter(const struct message *original, const struct dead_reason *);

/* What one says; slices borrow from the message, texts are JSON strings as written. */
struct dead_letter {
    struct json_value group, stream, id; /* strings */
    uint64_t seq, attempts, time_ms, failed_ms;
    struct json_value error; /* an object */
};

/* False: it is no dead letter. */
bool dead_read(const struct message *, struct dead_letter *);

/* The original once more, for the group where it failed only; a new message with a new id. */
struct message *dead_revive(const struct message *letter, const struct dead_letter *);
