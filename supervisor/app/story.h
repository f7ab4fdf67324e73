/*
 * story: what happened to messages lately, for `nodey trace`, `record` and `test`.
 *
 * A ring of the newest messages and one of how handlers ended with them; what is older of
 * messages is in the store.  While somebody records there is also a journal, a line of JSON
 * for each thing that happens; it is given up when nobody has taken of it for a while.
 *
 *   {"kind":"pub","t":ms,...}     a message was stored; see story_write_message()
 *   {"kind":"event","t":ms,...}   a program was given it
 *   {"kind":"ack",...}, {"kind":"nack",...}   and has handled it, or failed
 */
#pragma once

#include "app/control.h"
#include "app/flowgraph.h"

enum {
    STORY_MESSAGES = 4096,
    STORY_BYTES = 8 << 20, /* of them */
    STORY_ENDS = 16384,
    STORY_HANDS = 1024,       /* groups with their programs */
    STORY_JOURNAL = 32 << 20, /* bytes; then its oldest half is lost, and counted */
};

/* Who handles: names that live as long as the story does. */
struct story_hand {
    char *group, *program;
};

/* How an attempt ended. */
struct story_end {
    uint64_t seq;
    int64_t at_ms;
    uint32_t waited_ms, ran_ms, attempt;
    uint16_t hand;
    bool dead;
    char *error; /* NULL: it was handled */
};

struct story {
    struct events_watcher watcher;
    struct events *events;
    struct flowgraph *graph;
    struct message **messages; /* a ring of STORY_MESSAGES, made when it is first needed */
    size_t first, count;
    size_t bytes;
    struct story_end *ends; /* likewise, of STORY_ENDS */
    size_t end_first, end_count;
    struct story_hand hands[STORY_HANDS];
    size_t hand_count, hand_last;

    bool records;
    bool plays; /* a run for stories: nobody needs to take of the journal for it to go on */
    struct buf journal;
    uint64_t journal_next; /* number of the line to come */
    uint64_t journal_lost;
    struct timer lease;

    int64_t unsettled; /* of a run for stories: what somebody has yet to handle */
    bool is_heard;     /* likewise: by an `each`, of which nobody says when it is done */
    uint64_t moves;    /* counts whatever happens */
};

/* Watches these events, which are not open yet. */
void story_init(struct story *, struct events *, struct flowgraph *, bool plays);

/* Nobody is told any more.  Before the events are closed. */
void story_close(struct story *);
void story_deinit(struct story *);

/* GET /v1/flow, /v1/trace/ID, /v1/record, POST /v1/story.  False: it is none of these. */
bool story_serve(struct control *, struct exchange *);

/* ----------------------------------------------------- for the files of story */

/* Appends the members of a message, from a comma on. */
void story_write_message(const struct message *, struct buf *out);

/* Appends the end as an object. */
void story_write_end(const struct story *, const struct story_end *, struct buf *out);

/* GET /v1/trace/ID. */
void story_trace(struct story *, struct exchange *, struct slice id);

/* POST /v1/story. */
void story_play(struct story *, struct exchange *);

/* Appends the journal from its line `after` on, as the members "next", "lost" and "lines". */
void story_take(struct story *, uint64_t after, struct buf *out);
