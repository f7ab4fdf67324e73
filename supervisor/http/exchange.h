/*
 * exchange: one request and its answer, with the memory of both.
 *
 * Taken from the front's spares when a head is complete, and given back when the
 * answer is written; the public half of it is in server.h.
 */
#pragma once

#include "http/chunked.h"
#include "http/front.h"

struct conn;

struct exchange {
    struct list node; /* in front.spare */
    struct conn *conn;
    struct http_request request;
    struct arena arena;
    struct buf body;
    struct chunked chunked;
    uint64_t body_left; /* when the body is not chunked */
    bool is_chunked;
    bool keep_alive;
    bool to_head;
    uint64_t handed_ns; /* when the handler got it */
    void *data;
    char id[REQUEST_ID_LEN];
};

struct exchange *exchange_take(struct front *, struct conn *);
void exchange_give(struct front *, struct exchange *);
void exchange_free_spares(struct front *);
