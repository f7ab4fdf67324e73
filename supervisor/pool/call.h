/*
 * call: one piece of work for a pool, a request, an ask or a message of the bus.
 *
 * A call lives in its owner's memory from call_init() until `done`, which comes
 * exactly once: answered, failed, timed out, or never when the owner cancelled it
 * first.  Between the two it waits in its pool's queue or is written to a worker;
 * it may go back to the queue when that worker cannot have started it.
 *
 * Bodies may come in pieces, both ways, and each piece needs credit: who receives says how
 * many bytes more it can hold.  A request that `streams` is followed by what call_send()
 * is given, up to call_send_end(); an answer in pieces is told of by `part` until `done`
 * brings its end.  A WebSocket is both at once, in whole messages.
 */
#pragma once

#include "base/list.h"
#include "loop/timer.h"
#include "protocol/c/frame.h"

struct call;
struct pool;
struct slot;
struct worker;

enum call_kind { CALL_REQUEST, CALL_ASK, CALL_EVENT };

/* Why there is no answer.  The text is for a person; borrowed. */
struct call_failure {
    const char *code;       /* of the protocol: "unavailable" */
    unsigned status;        /* HTTP */
    unsigned retry_after_s; /* 0 = do not say */
    const char *text;
    const char *incident; /* the report of what led to it; NULL or "" = none */
    bool ended;           /* the worker ended with it */
    bool begun;           /* ... and may have begun it */
    bool planned;         /* ... because it was told to */
};

/* Exactly one of the two; both end when `done` returns. */
struct call_reply {
    const struct frame *frame; /* response, end, answer or error */
    const struct call_failure *failure;
    struct slice body; /* of an end: the bytes that its body stands for */
};

/* What a call is about, for the log: "GET /fib?num=10", and the request that it is for. */
struct call_about {
    char what[160];            /* cut to fit; "" = not known */
    struct slice request_id;   /* borrowed from the call; empty = none */
    struct slice traceparent;  /* of the request; likewise */
    const struct call *origin; /* the first of those that led to it, or itself; NULL: none */
};

/* What a call asks for, to know it again.  Borrowed from the call. */
struct call_identity {
    struct slice method;
    struct slice path;
    struct slice route; /* the path with ":name" for what stands there; empty = the path */
    struct slice query;
    struct slice body; /* as far as it is here */
};

struct call_ops {
    /*
     * Appends the line for this worker.  May be called again for another one.
     * left_ms is what remains until the deadline.
     */
    void (*write)(struct call *, const struct worker *, uint64_t id, uint64_t left_ms,
                  bool nested, struct buf *out);

    /* Why this worker cannot be given it, before it is; NULL: it can.  May be NULL. */
    const struct call_failure *(*unfit)(struct call *, const struct worker *);
    void (*done)(struct call *, const struct call_reply *);

    /*
     * A part of the answer that is not its last: an interim answer (info), the head of one
     * that goes on (a response with `more`), a piece of it (chunk), a message.  `done` brings
     * the last one: a response without `more`, an end, or an error.  NULL: such answers are
     * refused for the owner.  body: the bytes that the frame's body stands for, borrowed.
     * The owner may cancel the call from within.
     */
    void (*part)(struct call *, const struct frame *, struct slice body);

    /* There is room for more of the body again: see call_room().  Only for what streams. */
    void (*room)(struct call *);

    /* Fills in what is known; may be NULL. */
    void (*describe)(const struct call *, struct call_about *);

    /* Fills in what is known; may be NULL: then it is never refused for what it did. */
    void (*identify)(const struct call *, struct call_identity *);
};

struct call {
    const struct call_ops *ops;
    enum call_kind kind;
    bool idempotent;    /* may be started twice */
    bool streams;       /* its line says `more`, or asks for an upgrade: needs FEATURE_STREAM */
    bool fixed;         /* what was sent of its body is gone: it can go to no other worker */
    unsigned depth;     /* asks upon asks */
    uint64_t size;      /* bytes of its line, about */
    struct pool *pool;  /* NULL when it is over */
    struct list node;   /* in a queue of the pool, while slot is NULL */
    struct slot *slot;  /* where it was written to */
    struct timer timer; /* the deadline; in the queue the earlier of it and the wait limit */
    uint64_t deadline_ms;
    uint64_t queued_ms;  /* since when it waits for a worker */
    uint64_t timeout_ms; /* from the submission, or the last piece of its body, to an answer */
    uint64_t credit;     /* bytes of its body that the worker will take */
    uint64_t window;     /* bytes of the answer's body that the worker may send */
    uint64_t consumed;   /* of those it sent: passed on, and not granted again yet */
    bool answering;      /* a part has come: the deadline is over */
    bool body_ended;     /* call_send_end() was called */
    struct list wants;   /* in worker->wants while it waits for room in the pipe */
    unsigned starts;     /* workers that may have started it and died */
    unsigned moves;      /* times it went back to the queue */
};

void call_init(struct call *, enum call_kind, const struct call_ops *);

/* Always fills it in; the call may be NULL. */
void call_describe(const struct call *, struct call_about *);

/* Ends the call with an answer, with the end of one that came in pieces, or with a failure. */
void call_answer(struct call *, const struct frame *);
void call_finish(struct call *, const struct frame *, struct slice body);
void call_fail(struct call *, const struct call_failure *);

/*
 * The owner no longer wants the answer: `done` will not come.  The worker is told
 * when it cares to be; its slot stays taken until it answers.  reason: "disconnect",
 * "timeout" or "shutdown"; NULL: what it was sent has told it.  Nothing happens when the call
 * is over.
 */
void call_cancel(struct call *, const char *reason);

/* ------------------------------------------------------------ bodies in pieces */

/*
 * Bytes of the body that may be sent now: 0 when the call waits for a worker, for credit, or
 * for room in the worker's pipe (then `room` follows).  Never more than FRAME_CHUNK_MAX.
 */
size_t call_room(struct call *);

/* A piece of the body, no longer than call_room(). */
void call_send(struct call *, struct slice bytes);

/* A message of a WebSocket; takes credit, and may exceed it: look at call_room() first. */
void call_send_message(struct call *, bool text, struct slice bytes);

/* The body, or the WebSocket, has ended.  Once; needs no room. */
void call_send_end(struct call *, const struct frame_end *);

/* So many bytes of the answer have been passed on: the worker may send as many more. */
void call_consumed(struct call *, size_t bytes);
