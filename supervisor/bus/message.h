/*
 * message: one fact or one job, never changed once it is stored.
 *
 * One allocation with all its bytes, shared by reference between the loop, the engine's
 * thread and every consumer; the count is atomic.  Until its publish op is done, only the
 * engine writes `seq`, `time_ms` and `duplicate`; after that nobody writes.
 */
#pragma once

#include <stdatomic.h>

#include "base/slice.h"

enum {
    MESSAGE_ID_MAX = 200,        /* bytes of a caller's msgid, and of a key */
    MESSAGE_INLINE_MAX = 262144, /* bytes of data kept in the row; above it a blob file */
    MESSAGE_DATA_MAX = 67108864, /* bytes of data */
    MESSAGE_OUTPUTS_MAX = 1024,  /* messages published with one ack */
};

struct message {
    atomic_uint refs;
    bool duplicate;           /* its msgid is known: `seq` is that of the first one */
    uint64_t seq;             /* 1, 2, ... over all streams; 0 = not stored yet, or delayed */
    int64_t time_ms;          /* since 1970: never decreases with seq */
    int64_t due_ms;           /* not stored in its stream before; 0 = at once */
    struct slice stream;      /* name; a queue's is "queue." and its name */
    struct slice topic;       /* of a job: the queue's name */
    struct slice key;         /* empty = none */
    struct slice msgid;       /* as the caller gave it; empty = none */
    struct slice cause;       /* id of the message that was handled; empty = none */
    struct slice correlation; /* id of the first of the story; empty = its own id */
    struct slice traceparent; /* W3C; empty = none */
    struct slice headers;     /* raw JSON object of strings; empty = none */
    struct slice only;        /* the one group that gets it; empty = all that match */
    struct slice origin; /* who published: a program's name, "http", "cli"; empty = not known */
    struct slice data;   /* raw JSON as published; empty when `blob` has it */
    struct slice blob;   /* absolute path of the file that holds the data; empty = none */
    uint64_t size;       /* bytes of data */
};

/* What a message is made of; copied.  Unset members are empty. */
struct message_parts {
    struct slice stream, topic, key, msgid, cause, correlation, traceparent, headers, only,
        origin, data, blob;
    uint64_t size; /* with a blob */
    int64_t due_ms;
};

/* With one reference, the caller's. */
struct message *message_new(const struct message_parts *);
struct message *message_hold(struct message *);

/* Takes NULL.  From any thread. */
void message_release(struct message *);

/* Bytes that it takes in memory. */
size_t message_bytes(const struct message *);

/*
 * Its name towards people and handlers, the same for every attempt: the caller's msgid, else
 * the seq in decimal.  `text` has MESSAGE_ID_MAX + 1 bytes.
 */
struct slice message_id(const struct message *, char *text);
