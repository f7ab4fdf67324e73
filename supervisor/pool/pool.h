/*
 * pool: the instances of one program, and the calls that wait for them.
 *
 * pool_submit() takes a call, call callbacks give its end: nothing else passes
 * between a pool and its users, so that pools may move to other threads.
 *
 * Calls wait here and not at an instance, so that a slow one delays nobody else.
 * Asks overtake requests (PROTOCOL.md, scheduling).  Queued requests have a bound
 * in number, bytes and time.
 */
#pragma once

#include "config/config.h"
#include "pool/restart.h"
#include "pool/worker.h"

struct pools;

enum { POOL_RETRY_BURST = 200 }; /* started calls that may be tried again at once */

/* One place among the pool's instances. */
struct instance {
    struct worker *current; /* NULL only while the pool stops */
    struct worker *next;    /* is to take over as soon as it is ready */
    struct restart restart;
};

struct pool {
    struct pools *pools;
    struct list node; /* in pools->list */
    const struct worker_config *config;
    struct restart_policy policy;
    struct instance *instances;
    struct list states[WORKER_STATES]; /* struct worker.node */
    struct list asks;                  /* struct call.node: go before requests */
    struct list requests;              /* struct call.node */
    size_t waiting;                    /* length of `requests` */
    uint64_t waiting_bytes;
    double retry_budget; /* started calls that may be tried again */
    bool announced;      /* conflicts of its declaration have been told of */
    bool settled;        /* it was ready, or failed to start, several times or for long */
    struct call_failure refusal; /* what pool_submit() returned last */
    char trouble[256];           /* why it has no instance, for a person; "" = none */
};

/* What happens in pools, for whoever logs, counts and routes.  All are called from the loop. */
struct pool_observer {
    /* A sentence for the log; w may be NULL. */
    void (*tell)(struct pool_observer *, const struct pool *, const struct worker *w,
                 enum log_level, const char *sentence);

    /* A worker wrote a line that is no frame; stream: "stdout", "stderr" or "log". */
    void (*wrote)(struct pool_observer *, const struct worker *, enum log_level,
                  const char *stream, struct slice text);

    /* An instance became ready: its declaration is new. */
    void (*ready)(struct pool_observer *, struct pool *, struct worker *);

    /* The pool is ready for the first time, or has failed to start often or long enough. */
    void (*settled)(struct pool_observer *, struct pool *);

    /* No process of any pool is left (after pools_stop). */
    void (*stopped)(struct pool_observer *);
};

/* What all pools of a loop share. */
struct pools {
    struct loop *loop;
    struct pool_observer *observer;
    struct list list;          /* struct pool.node */
    struct list lost_asks;     /* struct ask.call.node: nobody answers their token yet */
    struct ask_target *tokens; /* sorted */
    size_t token_count;
    uint64_t next_id;
    uint64_t next_life;
    unsigned lives;         /* worker objects that exist */
    const char *const *env; /* what every worker gets, "NAME=value", NULL-terminated */
    const char *server;     /* "nodey/0.1.0" */
    bool dev;
    bool stopping;
    struct task stopped;
};

void pools_init(struct pools *, struct loop *, struct pool_observer *);

/* A pool for this worker; config must outlive it.  Starts nothing yet. */
struct pool *pool_new(struct pools *, const struct worker_config *);

/* The first instance goes ahead; the others follow when it is ready. */
void pool_start(struct pool *);

struct pool *pools_find(struct pools *, struct slice name);

/*
 * What the pool's instances declare, all alike: routes, tokens, which headers they
 * want.  NULL while none is ready.  Valid until the loop's next turn.
 */
const struct ready *pool_declaration(const struct pool *);

/* True when every pool has settled. */
bool pools_settled(const struct pools *);

/* Everything drains and ends within limit_ms; `stopped` is called then.  Once. */
void pools_stop(struct pools *, uint64_t limit_ms);

/* Kills everything at once; `stopped` is called when all is reaped. */
void pools_kill(struct pools *);

/* After `stopped`. */
void pools_deinit(struct pools *);

/*
 * Hands over a call; its ops->done comes later, never from within.  timeout_ms 0 is
 * the pool's own.  Returns NULL, or why the call was not taken: then `done` will not
 * come, and the reason is valid until the next call.
 */
const struct call_failure *pool_submit(struct pool *, struct call *, uint64_t timeout_ms);

/* --------------------------------------------- for the files of this room */

/* Gives waiting calls to instances that can take them. */
void pool_dispatch(struct pool *);

/* It has no instance and is not about to have one. */
bool pool_is_down(const struct pool *);

/* Fails what waits, because the pool is down or nodey stops. */
void pool_fail_waiting(struct pool *);

/* Back to the head of its queue, after a worker could not keep it. */
void pool_requeue(struct pool *, struct call *);

/* A call has left the queue. */
void pool_left_queue(struct pool *, struct call *);

/*
 * The worker ended with this call open: it is tried again when that is safe, else it
 * fails.  begun: the worker may have started it.
 */
void pool_call_lost(struct worker *, struct call *, bool begun, const char *how);

/* The process behind this worker has ended, or could not be started. */
void pool_worker_ended(struct worker *, const char *how, bool was_draining);
void pool_worker_ready(struct worker *);

/* A new life takes over at once (the old one drains) or once it is ready. */
void pool_replace_now(struct worker *);
void pool_replace_later(struct worker *, const char *why);

/* A worker object is gone from memory. */
void pool_worker_freed(struct pools *);

void pool_tell(const struct pool *, const struct worker *, enum log_level, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
