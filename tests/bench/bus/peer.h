/* peer: one connection to a server of another kind, and what its wire must be able to do. */
#pragma once

#include "figures.h"

enum { DEPTH_MAX = 8192 };

struct run;

struct peer {
    struct run *run;
    unsigned number;
    int fd;
    struct bytes in, out;
    uint64_t sent, stored; /* messages; they are numbered from 0 as they are sent */
    uint64_t floor;        /* of a wire that confirms many at once: all below are stored */
    uint64_t sent_ns[DEPTH_MAX]; /* by number; 0 = it is stored */
};

struct wire {
    const char *name;
    /* Says hello, and declares the stream or queue; blocking. */
    void (*greet)(struct peer *);
    /* Appends the peer's next message to `out`; its number is p->sent. */
    void (*publish)(struct peer *, const char *data, size_t size);
    /* Takes all whole answers from `in`, with peer_stored() for each. */
    void (*answered)(struct peer *);
};

struct run {
    const struct wire *wire;
    const char *queue_type; /* of RabbitMQ */
    unsigned connections, depth;
    size_t size;
    uint64_t until_ns, stored;
    struct hist latency;
};

extern const struct wire wire_redis, wire_nats, wire_amqp;

void peer_flush(struct peer *);

/* Waits for something, and appends it to `in`. */
void peer_read(struct peer *);

/* The server has it, for the first time or again; sends the next one while there is time. */
void peer_stored(struct peer *, uint64_t number);
