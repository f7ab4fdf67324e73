/*
 * events: where the bus and the pools meet.
 *
 *   worker ── publish, seek ──> events_publish.c ──> bus
 *   worker ── ready ──> events_group.c: which groups there are, and which pool handles them
 *   bus ── delivery ──> events_handle.c ── event ──> worker, which answers ack or nack
 *   bus ── stored ──> events_each.c ── event without an id ──> every worker that wants it
 *
 * The bus is opened at the start when it is configured or was used before, and else by the
 * first who needs it; where nobody does, nothing of this costs anything.
 */
#pragma once

#include "bus/bus.h"
#include "pool/pool.h"

struct chaos;

/* How an attempt ended; borrowed. */
struct events_end {
    const struct delivery *delivery;
    const char *program; /* that had it; "" = not known any more */
    uint64_t waited_ms, ran_ms;
    const char *error; /* "" = handled */
    bool dead;
};

/* Who looks on; what is borrowed ends with the call.  All but `stored` may be NULL. */
struct events_watcher {
    struct list node;

    /* For each message that was stored, in their order. */
    void (*stored)(struct events_watcher *, const struct message *);

    /* A worker of this program is given one. */
    void (*given)(struct events_watcher *, const struct delivery *, const char *program);
    void (*settled)(struct events_watcher *, const struct events_end *);

    /* The program is no more. */
    void (*removed)(struct events_watcher *, const struct pool *);
};

struct events_host {
    struct loop *loop;
    struct pools *pools;
    struct config **config; /* the one in use */
    bool is_private;        /* a run for one command: the bus is that of the nodey that is up */
    struct chaos *chaos;    /* NULL: nothing happens on purpose */
};

struct events {
    struct events_host host;
    struct bus *bus; /* NULL: not open */
    struct bus_observer observer;
    struct list listeners;   /* struct listener.node: groups, in turns */
    struct list feeds;       /* struct feed.node: pools that handle any */
    struct list hearings;    /* struct hearing.node: workers that hear of each event */
    struct list publishings; /* struct publishing.node: what a worker waits for */
    struct list watchers;    /* struct events_watcher.node */
    struct list kept_back;   /* struct handling.node: by --chaos, for a while */
    struct task resume;      /* pools have room */
    struct task relief;      /* workers may publish again */
    struct bucket chatter;   /* lines about attempts that failed */
    bool worker_says;        /* a nack with its reason is being settled */
    bool awaits_relief;
    bool closing, closed;
    uint64_t tried_ms; /* when it could not be opened; 0 = it never was tried */
    char trouble[512]; /* why */
};

void events_init(struct events *, const struct events_host *);

/* From now on until the end; before events_start() nothing is missed. */
void events_watch(struct events *, struct events_watcher *);

/* Opens the bus if it is configured, or its file is there.  0, or -1 with a sentence. */
int events_start(struct events *, struct err *) MUST_CHECK;

/* The bus, opened if need be; NULL with a sentence. */
struct bus *events_bus(struct events *, struct err *);

/* *host.config is another one. */
void events_configure(struct events *);

/* Of the pools' observer. */
void events_ready(struct events *, struct pool *, struct worker *);
void events_ended(struct events *, struct worker *);
void events_room(struct events *, struct pool *);
void events_framed(struct events *, struct worker *, const struct frame *);

/* The pool is to be removed: others may handle its groups. */
void events_pool_removed(struct events *, struct pool *);

/*
 * Forgets a group of the bus, which no worker may subscribe to; `done` comes once.  False: it
 * was not begun, with a sentence that says who has it.
 */
bool events_drop_group(struct events *, struct group *, void (*done)(void *arg, const char *),
                       void *arg, struct err *);

/* Appends the groups that this pool handles, as JSON: [{"name","backlog"}]. */
void events_write_groups(const struct events *, const struct pool *, struct buf *);

/* When no worker is left; it takes a moment, in which the loop runs on. */
void events_close(struct events *);

/* After the loop has ended. */
void events_deinit(struct events *);
