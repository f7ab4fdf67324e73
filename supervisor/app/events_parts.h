/*
 * events_parts: what the files of events share.  Nobody else includes it.
 */
#pragma once

#include "app/events.h"
#include "pool/event.h"

enum { RUNS_KEPT = 32 };

/* A pool that handles groups, or did. */
struct feed {
    struct list node; /* events->feeds */
    struct events *events;
    struct pool *pool;
    bool has_room; /* to be looked at by events->resume */
};

/* A group of the bus, and who handles it.  It lives as long as the bus is open. */
struct listener {
    struct list node; /* events->listeners */
    struct events *events;
    struct group *group;
    struct feed *feed; /* NULL: nobody */
    char *name;
    bool job;
    unsigned max;             /* of one instance at a time */
    unsigned out;             /* with workers */
    uint32_t runs[RUNS_KEPT]; /* ms that the last ones took */
    unsigned run_count;       /* of all */
};

/* A worker that hears of each event by some of its subscriptions. */
struct hearing {
    struct list node; /* events->hearings */
    struct worker *worker;
    size_t count; /* of what follows, as of worker->ready.subscriptions */

    struct missed {
        uint64_t from, to; /* seq of what did not fit its pipe; 0 = nothing */
    } missed[];
};

/* ------------------------------------------------------------- events_group.c */

/* What this worker declares; others of its pool declare alike. */
void listeners_declare(struct events *, struct pool *, struct worker *);
void listeners_pool_removed(struct events *, struct pool *);
void listeners_resume(struct events *);
void listeners_free(struct events *);
struct start events_start_of(const struct frame_start *);

/* ------------------------------------------------------------ events_handle.c */

/* What a listener, the owner of its group, does. */
extern const struct group_ops handle_ops;

/* Lets the group go if nobody handles it any more, and nothing of it is with a worker. */
void handle_let_go(struct listener *);

/* What --chaos keeps back goes back to the bus. */
void handle_give_back_all(struct events *);

/* The program that handles its group; "" = none does any more. */
const char *handle_program(const struct delivery *);

/* What the call's handler works on; NULL when it is no delivery. */
const struct delivery *handle_delivery(const struct call *);

/* ----------------------------------------------------------- events_publish.c */

void publish_framed(struct events *, struct worker *, const struct frame *);
void publish_worker_ended(struct events *, struct worker *);

/*
 * What a frame says is to be published, or an object of an ack's; without a key it has none.
 * Slices are in the arena or of the frame.
 */
void publish_read(const struct frame *, const struct delivery *handling, struct arena *,
                  struct publish_request *);

/* -------------------------------------------------------------- events_each.c */

void each_declare(struct events *, struct worker *);
void each_worker_ended(struct worker *);
void each_stored(struct events *, const struct message *);

/* The gap frame to every worker that serves the group. */
void each_tell_gap(struct pool *, const void *kind, struct slice group, uint64_t from,
                   uint64_t to);

/* The frame of a message; without id, attempt and the like. */
struct frame_event event_frame(const struct message *, struct slice group);
