/*
 * busview: what the control socket says of events and jobs, read for those who show it.
 */
#pragma once

#include "base/arena.h"
#include "client/reach.h"

struct group_view {
    const char *name;
    const char *streams; /* with blanks between */
    bool is_queue, served;
    bool is_unknown; /* a queue with jobs that nobody has ever served: it has no group */
    uint64_t lag, oldest_ms, in_flight, retrying, handled;
    uint64_t delayed;                            /* of a queue: their time has not come */
    uint64_t dead;                               /* letters that are there now */
    double wait_p50, wait_p99, run_p50, run_p99; /* ms */
};

struct stream_view {
    const char *name, *durability;
    bool work;
    uint64_t first, last, messages, bytes, max_bytes, delayed;
};

struct bus_view {
    struct client_response answer;
    struct json_value json;
    struct arena arena;
    bool open; /* else nobody has ever used it */
    struct group_view *groups;
    size_t group_count;
    struct stream_view *streams;
    size_t stream_count;
    uint64_t delayed; /* events and jobs whose time has not come */
};

/* 0, or an exit code after saying what went wrong. */
int bus_view_fetch(struct session *, struct bus_view *) MUST_CHECK;
void bus_view_deinit(struct bus_view *);

/* A number, or a text in the arena, of an object: 0 and "" where there is none. */
uint64_t bus_view_number(const struct json_value *object, const char *name);
const char *bus_view_text(struct arena *, const struct json_value *object, const char *name);
