/*
 * asking: an ask that comes from outside the pools, over HTTP.
 *
 * Like an ask of a worker it waits for its answerer at start-up, has a deadline and
 * ends once; but nobody's work is behind it.  It lives in its owner's memory until
 * `done`, or until asking_cancel().
 */
#pragma once

#include "pool/pool.h"

struct asking;

/* How it ended.  Borrowed: valid until `done` returns. */
struct asking_reply {
    const char *code;       /* of the protocol: "unimplemented"; NULL: it was answered */
    unsigned status;        /* HTTP's for the code; 200 when answered */
    unsigned retry_after_s; /* 0 = do not say */
    struct slice text;      /* for a person */
    struct slice data;      /* raw JSON that came with an error; may be empty */
    struct slice value;     /* raw JSON; never empty when it was answered */
};

typedef void (*asking_done_fn)(struct asking *, const struct asking_reply *);

/* What is asked, by whom and for how long.  Borrowed until the end of the asking. */
struct asking_question {
    const char *token;
    struct slice args;   /* raw JSON, valid; empty = null */
    const char *from;    /* for logs */
    uint64_t timeout_ms; /* 0: 30 s */
};

struct asking {
    struct call call;
    struct pools *pools;
    struct asking_question question;
    asking_done_fn done;
    struct timer again; /* nobody answers the token yet */
    uint64_t deadline_ms;
};

/* Asks.  `done` follows, once, and may come before this returns. */
void asking_start(struct asking *, struct pools *, const struct asking_question *,
                  asking_done_fn done);

/* The answer is no longer wanted: `done` will not come.  Also when it has come. */
void asking_cancel(struct asking *);
