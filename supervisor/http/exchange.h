/*
 * exchange: one request and its answer, with the memory of both.
 *
 * Taken from the front's spares when a head is complete, and given back when the
 * answer is written; the public half of it is in server.h.
 */
#pragma once

#include "http/chunked.h"
#include "http/front.h"
#include "loop/stream_file.h"

struct conn;

/* What is known of the request's body: incoming.c. */
struct incoming {
    struct chunked chunked;
    uint64_t left; /* when it is not chunked: bytes to come */
    size_t at;     /* of exchange.body: what lies before has been consumed */
    const struct field *trailers;
    size_t trailer_count;
    bool is_chunked;
    bool in_pieces; /* the handler was given it before it was whole */
    bool ended;     /* all is in exchange.body, or was */
    bool choked;    /* not read on until the handler has consumed some */
    bool expects;   /* the client waits for "100 Continue" */
};

/* What is known of the answer: outgoing.c. */
struct outgoing {
    unsigned status;
    enum response_end end;
    uint64_t left;       /* RESPONSE_LENGTH: bytes announced and not yet written */
    uint64_t body_bytes; /* written */
    bool begun;
    bool close;
    bool high; /* more than EXCHANGE_LOW was unsent: `drained` is owed */
};

struct exchange {
    struct list node; /* in front.spare */
    struct conn *conn;
    struct http_request request;
    struct arena arena;
    struct buf body;
    struct buf trailer; /* the trailer section, while it arrives */
    struct incoming in;
    struct outgoing out;
    struct stream_file file; /* SENDING */
    struct task tell;        /* the handler, that its tunnel had ended before it began */
    bool keep_alive;
    bool to_head;
    bool tunnel;        /* the connection is a stream of bytes now */
    bool endless;       /* see exchange_set_endless() */
    uint64_t handed_ns; /* when the handler got it */
    void *data;
    char id[REQUEST_ID_LEN];
};

struct exchange *exchange_take(struct front *, struct conn *);
void exchange_give(struct front *, struct exchange *);
void exchange_free_spares(struct front *);
