/*
 * front: what the connections of one server share.
 */
#pragma once

#include <time.h>

#include "base/list.h"
#include "http/forwarded.h"
#include "http/server.h"

enum { REQUEST_ID_LEN = 24, DATE_LEN = 29 };

struct front {
    struct loop *loop;
    struct http_limits limits;
    struct http_handler *handler;
    struct trust trust;
    struct list idle;   /* struct conn.node: between two requests, the longest one first */
    struct list active; /* struct conn.node: all others that are open */
    size_t open;        /* in either list */
    size_t alive;       /* whose memory is not freed yet */
    struct list spare;  /* struct exchange.node: ready for reuse */
    size_t spare_count;
    struct buf scratch; /* a problem's body while it is written */
    bool draining;
    void (*left)(struct front *); /* a connection's memory has been freed */

    time_t date_s;
    char date[DATE_LEN + 1];
    char id_start[8];
    uint64_t id_seed;
};

void front_init(struct front *, struct loop *, const struct http_options *,
                void (*left)(struct front *));
void front_deinit(struct front *);

/* The Date of an answer sent now; valid until the next call. */
struct slice front_date(struct front *);

/* A new request id: of this server never again, of another one most unlikely. */
struct slice front_make_id(struct front *, char text[REQUEST_ID_LEN]);
