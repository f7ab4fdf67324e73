/*
 * ready: what a worker says of itself when it can take work.
 *
 * Read from the same line as the frame; owns all it holds, so it outlives the line.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "protocol/c/frame.h"

enum ready_feature {
    FEATURE_STREAM = 1 << 0,
    FEATURE_CANCEL = 1 << 1,
    FEATURE_ASK = 1 << 2,
    FEATURE_NESTED = 1 << 3,
    FEATURE_EVENTS = 1 << 4,
    FEATURE_PING = 1 << 5,
    FEATURE_WS = 1 << 6,
    FEATURE_UPGRADE = 1 << 7,
    FEATURE_DRAIN = 1 << 8,
    FEATURE_SENDFILE = 1 << 9,
};

enum ready_headers { READY_HEADERS_ALL, READY_HEADERS_NONE, READY_HEADERS_LIST };

struct ready_route {
    struct slice path;
    struct slice method; /* upper case; empty = any */
    uint64_t timeout_ms; /* 0 = the pool's */
};

/* What it wants to be given: facts by pattern, or jobs of a queue. */
struct ready_subscription {
    struct slice topic; /* a checked pattern, or a queue's name */
    bool job;
    struct slice group;      /* empty = the pool's name; of a job: the queue's */
    bool each;               /* every instance gets it, from now on, without an answer */
    struct frame_start from; /* of a group that does not exist yet */
    uint64_t max;            /* unsettled at a time and instance: 1..100000; 0 = not said */
    uint64_t attempts;       /* 1..1000; 0 = not said */
    uint64_t *backoff;       /* ms; NULL = not said */
    size_t backoff_count;    /* at most 64 */
    bool has_timeout;
    uint64_t timeout_ms; /* 0 = none */
};

struct ready {
    struct arena arena;
    uint64_t protocol;    /* 1 when absent */
    uint64_t concurrency; /* 1..100000, 1 when absent */
    uint64_t prefetch;    /* 0..1024, 0 when absent */
    uint64_t window; /* bytes of a request's body that may be sent at first: 1K..64M, 256K when
                        absent */
    unsigned features; /* enum ready_feature; unknown names are ignored */
    enum ready_headers headers;
    struct slice *header_names; /* lower case; READY_HEADERS_LIST */
    size_t header_count;
    bool json_body; /* body: "json" */
    struct ready_route *routes;
    size_t route_count;
    bool says_routes; /* the member was there, be it empty */
    struct slice *tokens;
    size_t token_count;
    struct ready_subscription *subscriptions;
    size_t subscription_count;
    struct slice *files;
    size_t file_count;
    struct slice sdk;
};

/*
 * Reads the members of a `ready` line that frame_read() accepted.  False with a
 * sentence (which member, what it was, what it must be) when one is unusable; then
 * nothing is held.
 */
bool ready_read(struct slice line, struct ready *, struct err *);
void ready_deinit(struct ready *);
