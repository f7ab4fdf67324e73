/*
 * client: the asking side of HTTP/1.1, over TCP or a unix socket.
 *
 * client_fetch() is for a command that asks one question and waits for the answer.
 * Everything below it is one connection on a loop, for who asks many: requests go one
 * after the other (no pipelining), and an answer is offered in pieces as it arrives.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "http/answer.h"
#include "loop/connect.h"

struct client_request {
    const char *address;        /* see peer_resolve() */
    const char *host;           /* the Host field; NULL: made of the address */
    const char *method;         /* NULL: GET */
    const char *target;         /* NULL: "/" */
    const struct field *fields; /* beside Host and Content-Length, unless they are here */
    size_t field_count;
    struct slice body;
    uint64_t timeout_ms; /* for all of it, connecting included; 0: 30 s */
    size_t body_max;     /* bytes of the answer's body that are accepted; 0: 64 MiB */
};

struct client_response {
    unsigned status;      /* 200..999 */
    struct field *fields; /* names in lower case */
    size_t field_count;
    struct buf body;
    struct arena arena; /* holds the fields */
};

/*
 * Asks and waits, on a loop of its own.  0 and a response to be deinitialised, or a
 * libuv code with a sentence: UV_ENOENT or UV_ECONNREFUSED when nobody listens,
 * UV_ETIMEDOUT, UV_EPROTO for an answer that is no HTTP, UV_EINVAL for a
 * request that would be none, UV_EMSGSIZE for one that is
 * larger than `body_max`, UV_EOF when the connection ended before the answer did.
 */
int client_fetch(const struct client_request *, struct client_response *,
                 struct err *) MUST_CHECK;
void client_response_deinit(struct client_response *);

/* The value of a field of that name (lower case), or an empty slice. */
struct slice client_response_field(const struct client_response *, const char *name);

/*
 * Appends the request as it goes over the wire.  0, or UV_EINVAL with a sentence when the
 * method, the target or a field holds what would make another request of it.
 */
int client_request_write(const struct client_request *, struct buf *, struct err *) MUST_CHECK;

/* ----------------------------------------------------------- one connection */

struct client;

enum client_failure {
    CLIENT_CONNECT, /* could not connect */
    CLIENT_TIMEOUT, /* no connection, or no whole answer, in time */
    CLIENT_CLOSED,  /* ended or broke, with a request under way or without */
    CLIENT_INVALID, /* what came is no answer, or was not asked for */
};

/*
 * Called from the loop only, never from within a function of the client; each may
 * close the client.  For one request: interim any number of times, head, body any number of
 * times, answered; or at any point failed, after which nothing but gone is called, once it was
 * closed.
 */
struct client_ops {
    void (*opened)(struct client *);
    void (*head)(struct client *, const struct answer_head *); /* borrows */
    void (*body)(struct client *, struct slice bytes);         /* borrows */
    void (*answered)(struct client *);
    void (*failed)(struct client *, enum client_failure, int code, const char *why);
    void (*gone)(struct client *); /* no handle is left: the memory may be freed */
    void (*interim)(struct client *, const struct answer_head *); /* optional: a 1xx; borrows */
    void (*eased)(struct client *); /* optional: a part of what was written has left */
};

enum client_state { CLIENT_OPENING, CLIENT_IDLE, CLIENT_BUSY, CLIENT_ENDED };

struct client {
    struct loop *loop;
    const struct peer *peer;
    const struct client_ops *ops;
    struct stream stream;
    struct connect connect;
    struct answer answer;
    struct timer limit;
    enum client_state state;
    unsigned nth;        /* of the peer's addresses */
    bool again;          /* the next address is tried once the stream is gone */
    bool sending;        /* the request's end is yet to come */
    bool heard;          /* something of the answer has come */
    uint64_t attempt_ms; /* for each address */
    uint64_t begun_at;   /* stream_position() before the request */
    uint64_t received;   /* bytes, all time */
};

/* Connects; `peer` must outlive the client.  `opened` follows, or `failed`. */
void client_open(struct client *, struct loop *, const struct peer *, uint64_t timeout_ms,
                 const struct client_ops *);

/*
 * Sends a whole request (see client_request_write()) and awaits its answer for at most
 * timeout_ms.  Only when it is idle: after `opened`, or after `answered` with
 * client_idle().  `is_head`: the answer to a HEAD has no body whatever it says.
 */
void client_send(struct client *, struct slice request, bool is_head, uint64_t timeout_ms);

/* A request whose body may follow in pieces. */
struct client_ask {
    struct slice head;   /* and as much of the body as there is, as it goes over the wire */
    bool more;           /* the rest follows: client_write(), client_finish() */
    bool is_head;        /* the answer has no body whatever it says */
    bool may_switch;     /* a 101 is its answer, whose body are bytes of another protocol */
    uint64_t timeout_ms; /* see client_limit() */
};

/* As client_send().  The answer may come while the request is still being sent; then it was the
 * connection's last. */
void client_begin(struct client *, const struct client_ask *);

/* More of the request's body, in its transfer coding; or of the other protocol after a 101. */
void client_write(struct client *, struct slice bytes);

/* The request is sent whole. */
void client_finish(struct client *);

/* After a 101: nothing more will be written.  What the server says still arrives. */
void client_shutdown(struct client *);

/* Bytes written that the kernel has not taken yet. */
static inline size_t client_unsent(const struct client *c)
{
    return stream_unsent(&c->stream);
}

/* Not a byte of the request has left: nobody can have seen it. */
static inline bool client_untouched(const struct client *c)
{
    return stream_taken(&c->stream) <= c->begun_at;
}

/* From now on it may take this long until `answered`; 0: any time. */
void client_limit(struct client *, uint64_t timeout_ms);

/* After `answered`: see answer_trailers(). */
static inline const struct field *client_trailers(const struct client *c, struct arena *arena,
                                                  size_t *count)
{
    return answer_trailers(&c->answer, arena, count);
}

/* May a request be sent now?  False after an answer that was the connection's last. */
static inline bool client_idle(const struct client *c)
{
    return c->state == CLIENT_IDLE;
}

/* Back-pressure: what has been read already, at most a read's worth, is still offered. */
void client_pause(struct client *);
void client_resume(struct client *);

/* At once; safe to call twice.  `gone` follows. */
void client_close(struct client *);
