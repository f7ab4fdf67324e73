/*
 * frame_grammar: which members each kind of frame has, and of which type.
 *
 * A part of frame.c that only it uses: the tables, and what fills a frame in by them.
 */
#pragma once

#include "protocol/c/frame.h"

#define BIT(n) (UINT64_C(1) << (n))

enum member {
    M_ID,
    M_TYPE,
    M_STATUS,
    M_HEADERS,
    M_BODY,
    M_JSON,
    M_BODY64,
    M_MORE,
    M_BYTES,
    M_TRAILERS,
    M_VALUE,
    M_TOKEN,
    M_ARGS,
    M_FOR,
    M_TIMEOUT,
    M_REASON,
    M_FILE,
    M_OFFSET,
    M_LENGTH,
    M_CODE,
    M_MESSAGE,
    M_STACK,
    M_DATA,
    M_LEVEL,
    M_FIELDS,
    M_INFLIGHT,
    M_RSS,
    M_GRACE,
    M_TOPIC,
    M_QUEUE,
    M_KEY,
    M_MSGID,
    M_AT,
    M_DELAY,
    M_PUBLISH,
    M_DEAD,
    M_ERROR,
    M_GROUP,
    M_TO,
    M_CAUSE,
    M_CORRELATION,
    M_TRACEPARENT,
    MEMBERS,
};

#define BODIES (BIT(M_BODY) | BIT(M_BODY64) | BIT(M_JSON))

/* An object with an id and any of these is a response, and otherwise a log object. */
#define RESPONSE_SIGNS (BODIES | BIT(M_STATUS) | BIT(M_HEADERS) | BIT(M_FILE) | BIT(M_MORE))

/* A frame's known members, before it is known what kind of frame it is. */
struct members {
    uint64_t seen; /* BIT(enum member); only those of `at` are set */
    uint64_t twice;
    struct json_value at[MEMBERS];
};

/* Whose id a kind of frame carries. */
enum id_space { ID_OURS, ID_OURS_OR_NULL, ID_WORKERS, ID_WORKERS_OR_NONE, ID_OPTIONAL };

struct rule;

struct grammar {
    const char *type;
    enum frame_kind kind;
    enum id_space ids;
    const struct rule *rules;
    size_t rule_count;
};

/* That of an untyped frame. */
extern const struct grammar grammar_of_response;

/* That of a `type`, FRAME_UNKNOWN's for one that is not known. */
const struct grammar *grammar_of(const struct json_value *type);

/* Which member a key names; -1 for one that no frame has. */
int grammar_member(const struct json_value *key);

/* False, and an id of the kind NONE, for a value that is none. */
bool grammar_read_id(const struct json_value *, struct frame_id *);

/*
 * NULL, or a static sentence: what this kind of frame needs for an id.  said: it has a member
 * `id`, be it one that is none.
 */
const char *grammar_check_id(const struct grammar *, enum frame_id_kind, bool said);

/* That of what an ack publishes. */
extern const struct grammar grammar_of_output;

/* Fills the frame in; NULL, or a static sentence: what is wrong. */
const char *grammar_apply(const struct grammar *, const struct members *, struct frame *);
