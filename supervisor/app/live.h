/*
 * live: the files that programs are made of, and whether they have changed.
 *
 * They are looked at when somebody asks (`nodey reload`), and all the time when nodey
 * watches.
 *
 * A program is its script, the files that its `ready` names, and what its configuration
 * says to watch.  As long as its newest version does not run, everything around the
 * script counts as well, because what mends it may be a file that it never got to load.
 * The configuration and the folder workers/ are watched in the same way: any change
 * loads the configuration again, which costs nothing when it says the same.
 */
#pragma once

#include "loop/watch.h"
#include "pool/pool.h"

/* A program that writes its own files while it starts is reloaded so often, not for ever. */
enum { LIVE_MAX_LOOPS = 5 };

struct live_host {
    /* Loads the configuration again; says so itself when that fails. */
    void (*reload)(void *arg);
    const struct config *(*config)(void *arg); /* the one in use */
    void *arg;
};

struct live {
    bool watching;
    struct loop *loop;
    struct pools *pools;
    struct live_host host;
    struct watch watch;
    struct list subjects; /* one for each pool */
    struct timer look;    /* soon, at those that are due: many may become ready at once */
    bool told_of_refusal;
};

/* Copies the host.  Not watching, it waits for live_look(). */
void live_start(struct live *, struct loop *, struct pools *, const struct live_host *,
                bool watching);
void live_stop(struct live *);

/* Renews the pools whose programs have changed; appends a line (with LF) for each. */
void live_look(struct live *, struct buf *report);

/*
 * An instance is ready, or has ended before it was: what its program is made of, or what
 * may mend it, is known better.
 */
void live_pool_ready(struct live *, const struct pool *);
void live_pool_failed(struct live *, const struct pool *);

/* The configuration has been loaded again: pools may have come and gone. */
void live_pools_changed(struct live *);
