/*
 * failure: why a request has no answer of a worker's own, and what to say of it.
 */
#pragma once

#include "http/server.h"
#include "pool/pool.h"

/* Everything is borrowed. */
struct failure {
    unsigned status;         /* 400..599 */
    struct slice detail;     /* a sentence, for whoever asked; may be empty */
    unsigned retry_after_s;  /* 0 = do not say */
    struct slice allow;      /* 405: "GET, HEAD" */
    const struct pool *pool; /* whose it is; NULL: nobody's */
    bool raised;             /* the worker answered with an error frame */
    bool unrouted;           /* of another status than 404: no route is known */
    bool unmeant;            /* by accident: the words were not chosen for clients */
    struct slice stack;      /* lines; may be empty */
    struct slice data;       /* raw JSON that came with a worker's error; may be empty */
    struct slice incident;   /* the report of what led to it, see incidents.h; may be empty */
};

/* Nothing has a route for the path, as far as that is known. */
static inline bool failure_is_unrouted(const struct failure *f)
{
    return f->unrouted || (f->status == 404 && !f->pool);
}

/* In plain words, for the developer. */
struct explanation {
    struct buf title;
    struct buf what;
    struct buf next;
};

/* What the explanation needs to know beside the failure itself. */
struct circumstances {
    const struct http_request *request;
    struct slice reason; /* why the worker does not start; empty = it does */
    const char *down;    /* unrouted: a worker that does not start; NULL = all do */
    bool any_route;      /* something is served */
    bool watching;       /* a changed file is taken without a restart */
};

/* Pure.  The explanation is in zeroes before. */
void failure_explain(const struct failure *, const struct circumstances *,
                     struct explanation *);
void explanation_deinit(struct explanation *);

/*
 * Appends a sentence with each absolute path of two parts or more cut to its last one:
 * what a client of a service in production has no business to know.
 */
void failure_hide_paths(struct buf *, struct slice sentence);
