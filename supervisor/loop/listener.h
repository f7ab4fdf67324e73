/*
 * listener: a bound address that yields streams.
 *
 * When the process is out of descriptors libuv gives up a reserved one to accept
 * and drop what waits: the loop does not spin on a backlog that it cannot empty.
 */
#pragma once

#include "base/err.h"
#include "loop/stream.h"

struct listener;

struct listener_ops {
    /* A connection waits: take it with listener_accept(), or no further one is offered. */
    void (*incoming)(struct listener *);
    void (*gone)(struct listener *);
};

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct life life;
    struct loop *loop;
    const struct listener_ops *ops;
    struct timer backlog; /* closing: looks whether connections still wait */
    unsigned looks;
    bool is_unix; /* its streams are initialised with stream_init_unix() */
    bool closed;
    char address[128]; /* as bound: "127.0.0.1:8000", the port filled in when it was 0 */
    uint16_t port;     /* 0 for a unix socket */
};

/*
 * Binds and listens.  `address` is "HOST:PORT", "[V6]:PORT", ":PORT" (all
 * interfaces), "PORT" (loopback), or "unix:PATH".  Port 0 picks a free one.
 * Returns 0 or a libuv code with a sentence in err; `gone` is called in either
 * case once the listener has been closed, by listener_close() or by the failure.
 */
int listener_open(struct listener *, struct loop *, const char *address,
                  const struct listener_ops *, struct err *) MUST_CHECK;

/*
 * The same with a socket that somebody else has bound and listens on, which lives on with
 * them: `fd` is owned from now on, also on failure.  One that does not listen, or has another
 * type than a stream, is refused with UV_EINVAL.
 */
int listener_take(struct listener *, struct loop *, int fd, const struct listener_ops *,
                  struct err *) MUST_CHECK;

/* Moves a waiting connection into an initialised stream.  0 or a libuv code. */
int listener_accept(struct listener *, struct stream *) MUST_CHECK;

/*
 * Whether an accepted connection has one of the last `spare` descriptors that this process may
 * open, by its limit at this moment.  Descriptors are given from the lowest free one on.
 */
bool listener_took_last(const struct stream *, unsigned spare);

/* Lets in what waits in the backlog, then stops listening.  Safe to call twice. */
void listener_close(struct listener *);
