/*
 * gateway: HTTP requests become calls to pools, and their answers responses.
 */
#pragma once

#include "app/access.h"
#include "app/cached.h"
#include "app/errorpage.h"
#include "app/proxy.h"
#include "app/routes.h"
#include "http/filecache.h"
#include "http/server.h"
#include "http/websocket.h"

/*
 * What the data of an exchange points at: who works on it is told of what its client does, see
 * struct http_handler.  `body` and `drained` are NULL for whoever takes no bodies in pieces.
 */
struct pending {
    void (*gone)(struct pending *);
    void (*body)(struct pending *);
    void (*drained)(struct pending *);
};

struct busdoor;

struct gateway {
    struct http_handler handler; /* give this to the server */
    struct routes *routes;
    struct loop *loop;
    struct access *access;
    struct errorpage *errors; /* NULL: as in production */
    struct busdoor *busdoor;  /* of routes that publish or stream events */
    struct cached cached;     /* the answers that are kept */
    struct buf line;          /* reused for each request's line */
    struct buf body;          /* reused for each answer's body */
    struct filecache files;   /* of routes with a root */
    char *data_dir;
    struct websockets sockets; /* those whose messages are frames */
    struct proxy proxy;        /* requests to services and addresses */
};

void gateway_init(struct gateway *, struct loop *, struct routes *, struct access *);
void gateway_deinit(struct gateway *);

/* access->kind is another one now. */
void gateway_access_changed(struct gateway *);

/*
 * Hands a request to this pool, whosever its path is.  Ends the exchange, sooner or
 * later; when its client leaves before, `handler.gone` must be told.
 */
void gateway_relay(struct gateway *, struct exchange *, struct pool *);

/* ------------------------------------------------ for those who answer in its name */

/* Finds the request's route and hands it over, as when it came. */
void gateway_route(struct gateway *, struct exchange *);

/*
 * The route of a request: by its path; or, when `only` is not empty, of the pool of that name,
 * whosever the path is.  False when there is none.
 */
bool gateway_find(struct gateway *, struct exchange *, struct slice only,
                  struct router_match *);

/* Answers with a whole answer of a worker.  wrote: its method may have changed something. */
void gateway_respond(struct gateway *, struct exchange *, const struct pool *, bool wrote,
                     const struct frame *);

/* Answers with what a call ended in: a failure, or an error that the worker sent. */
void gateway_fail(struct gateway *, struct exchange *, const struct pool *,
                  const struct call_reply *);

/* Answers that the worker's answer cannot be sent. */
void gateway_fail_answer(struct gateway *, struct exchange *, const struct pool *,
                         const char *why);
