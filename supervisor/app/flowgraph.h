/*
 * flowgraph: who publishes what, and who handles it, as it was observed.
 *
 *   program ── publishes ──> topic ── is handled by ──> group of a program
 *                             topic ── leads to ──> another topic, of a handler's outputs
 *
 * Each edge counts; what it is seen for the first time is the shape, which outlives nodey in
 * "flow.json" beside the store.  What workers declare is merged with what was seen, and what
 * looks wrong in that is marked: a topic that nobody handles, a subscription that nothing
 * feeds, a circle, messages without a key beside keyed ones.
 *
 * Bounded: FLOWGRAPH_EDGES edges of all kinds; what comes after is counted and not drawn.
 */
#pragma once

#include "app/events.h"
#include "base/keymap.h"
#include "base/siphash.h"

enum {
    FLOWGRAPH_EDGES = 4096,
    FLOWGRAPH_STEPS = 128, /* of times: four for each power of two of microseconds */
    FLOWGRAPH_RECENT = 4096,
};

enum edge_kind { EDGE_PUBLISHED, EDGE_HANDLED, EDGE_LED };

/* How long something took, to a fifth of itself. */
struct spans {
    uint32_t steps[FLOWGRAPH_STEPS];
    uint64_t count;
};

struct flow_edge {
    struct list node; /* flowgraph->edges */
    struct keymap_node by_name;
    enum edge_kind kind;
    bool job;
    char *program; /* who published, or handled */
    char *topic;
    char *group;  /* of HANDLED */
    char *to;     /* of LED: the topic of the output */
    char *stream; /* of PUBLISHED */
    uint64_t count;
    uint64_t failed;          /* of HANDLED: attempts that are followed by another one */
    uint64_t dead;            /* of HANDLED */
    uint64_t keyed;           /* of PUBLISHED: messages with a key */
    int64_t last_ms;          /* since 1970; 0 = before this run, and not known */
    uint64_t slot_ms;         /* by the loop's clock: when the newest slot of the rate began */
    uint32_t now, before;     /* in that slot and the one before it */
    struct spans *wait, *run; /* of HANDLED, in this run; NULL: none */
};

/* What instances of a program said at their last start. */
struct flow_interest {
    struct list node; /* flowgraph->interests */
    char *program;
    char *pattern; /* of topics, or a queue's name */
    char *group;
    bool job, each;
};

struct flowgraph {
    struct events_watcher watcher;
    struct events *events;
    struct list edges;
    size_t edge_count;
    uint64_t left_out; /* messages of edges that there was no room for */
    struct keymap names;
    struct siphash_key hash_key;
    struct list interests;

    struct recent {
        uint64_t id;             /* hash of a message's id; 0 = none */
        struct flow_edge *topic; /* that published it */
    } * recent;                  /* FLOWGRAPH_RECENT, made when it is first needed */

    char *path; /* NULL: nothing is kept */
    struct timer save;
    bool changed; /* since it was written */
    bool told;    /* that it cannot be */
};

/* Watches these events, which are not open yet. */
void flowgraph_init(struct flowgraph *, struct events *);

/* A worker of this pool has said what it subscribes to. */
void flowgraph_ready(struct flowgraph *, const struct pool *, const struct worker *);

/* Writes what is to be kept.  When the events are closed. */
void flowgraph_close(struct flowgraph *);
void flowgraph_deinit(struct flowgraph *);

/* Appends all of it as a JSON object, see CONTROL.md. */
void flowgraph_describe(struct flowgraph *, struct buf *out);

/* ------------------------------------------------- for the files of flowgraph */

/* The edge of these names, made if need be; NULL: there is no room for it. */
struct flow_edge *flowgraph_edge(struct flowgraph *, const struct flow_edge *names);

/* ms below which `percent` of them are; 0 without any. */
double spans_at(const struct spans *, unsigned percent);

/* Reads what an earlier run left at `path`, and writes it when there is something new. */
void flowgraph_load(struct flowgraph *);
void flowgraph_keep(struct flowgraph *);

/* Appends a list of what looks wrong. */
void flowgraph_marks(const struct flowgraph *, struct buf *out);

/* Does any subscription want this? */
bool flowgraph_is_wanted(const struct flowgraph *, const char *topic, bool job);
