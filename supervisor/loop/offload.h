/*
 * offload: a thread of its own for what blocks, behind two queues.
 *
 * Letters are posted to the thread and come back from it; each lives in its owner's memory
 * and is in one queue at a time.  The thread takes all that wait at once, so that a batch
 * forms by itself while it works on the one before.  Only `node` of a letter is ours.
 */
#pragma once

#include <pthread.h>

#include "loop/loop.h"

struct offload;

struct offload_ops {
    /*
     * On the thread.  All letters that wait, in the order of posting; the thread answers with
     * offload_reply() when it likes, also later.  Called without letters when `wake_at` has
     * come.  Returns when to be called again without letters: ms since 1970 by the wall clock,
     * 0: at once (after what is posted meanwhile), UINT64_MAX: never.
     */
    uint64_t (*run)(struct offload *, struct list *letters);

    /* On the loop: letters that came back, in order. */
    void (*back)(struct offload *, struct list *letters);

    /* On the loop, once, after offload_close(): the thread has ended. */
    void (*closed)(struct offload *);
};

struct offload {
    const struct offload_ops *ops;
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond; /* of CLOCK_REALTIME: a moved clock moves what waits for it */
    struct list posted;  /* in this turn of the loop: the thread gets them at its end */
    unsigned waiting;    /* so many */
    unsigned hasty; /* the owner's, after offload_open(): so many are not kept until then */
    struct task flush;
    struct list in;  /* what it has got */
    struct list out; /* replied, not yet handed to `back` */
    bool closing;
    bool ended; /* the thread is done */
    uv_async_t async;
};

/* Starts the thread.  0 or a libuv code. */
int offload_open(struct offload *, struct loop *, const struct offload_ops *) MUST_CHECK;

/*
 * From the loop: wakes the thread at the end of this turn, once for however many, so that they
 * are taken together; or when `hasty` wait, so that it works on them while the loop makes the
 * next.
 */
void offload_post(struct offload *, struct list *node);

/* From the thread: wakes the loop once for however many. */
void offload_reply(struct offload *, struct list *node);

/* The same for a whole list, which is empty afterwards. */
void offload_reply_all(struct offload *, struct list *letters);

/*
 * From the loop, once: what was posted is still run and comes back; then the thread ends and
 * `closed` is called.  Does not wait.
 */
void offload_close(struct offload *);
