/*
 * connect: a stream to somebody else's address.
 *
 * An address is resolved once and may then be connected to many times: a name can
 * stand for several addresses, of which one may not answer (localhost is ::1 as well
 * as 127.0.0.1), and who connects tries them in their order.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "loop/stream.h"

enum { PEER_MAX = 8 };

/* Who is connected to; plain data, to be shared by all that connect to it. */
struct peer {
    char name[256]; /* as it was given */
    unsigned count; /* of `at`; at least one */

    union {
        struct sockaddr any;
        struct sockaddr_storage inet;
        struct sockaddr_un local;
    } at[PEER_MAX];
};

/*
 * Resolves "HOST:PORT", "[V6]:PORT", ":PORT" or "PORT" (both loopback), or
 * "unix:PATH".  A name is looked up at once, which may take the resolver's time: not
 * for a loop that serves.  0, or a libuv code with a sentence in err.
 */
int peer_resolve(struct peer *, struct loop *, const char *address, struct err *) MUST_CHECK;

/*
 * The same for a loop that serves.  0: the address holds no name, and the peer is complete.
 * UV_EAGAIN: only its name is set, and a lookup will tell the rest.  Else a libuv code with a
 * sentence: it is no address.
 */
int peer_parse(struct peer *, const char *address, struct err *) MUST_CHECK;

/* A name that is being looked up, on another thread. */
struct lookup;

/*
 * Looks up peer->name (see peer_parse).  `done` comes later, once, from the loop: with 0 and a
 * peer that is complete, or with a libuv code.  Who cancels hears nothing any more.
 */
struct lookup *lookup_start(struct loop *, const struct peer *, void *owner,
                            void (*done)(void *owner, int status, const struct peer *));
void lookup_cancel(struct lookup *);

/* One attempt; in its owner's memory, until the stream is gone. */
struct connect {
    uv_connect_t req;
    struct stream *stream;
    struct task refused; /* reports what failed at once */
    int status;
    void (*done)(struct connect *, int status);
};

/*
 * Initialises the stream and connects it to the peer's nth address.  `done` is called
 * once, from the loop, with 0 or a libuv code; never after stream_close(), which ends
 * the attempt.  After a failure the stream must still be closed.
 */
void connect_start(struct connect *, struct stream *, struct loop *, const struct peer *,
                   unsigned nth, const struct stream_ops *,
                   void (*done)(struct connect *, int status));
