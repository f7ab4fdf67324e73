/*
 * busdoor_follow: messages for who reads them as they are stored, from any place on, without
 * being a group: event streams of clients, and `nodey events tail`.
 *
 *   bus ── stored ──> the tail ──> those who are up to it, each at its own seq
 *   bus <── read ──── those who are behind it, a few at a time
 *
 * A follower is its seq: the last message that it was given, or that is not for it.  The tail
 * holds the newest messages, each once, and encoded once for each format.  Who takes what it is
 * sent too slowly is given nothing more until it has, and whose seq the tail has left behind
 * reads the store: nobody is buffered for, and nobody skips a message.  What the store has
 * removed before it was read, as too old or for room, is told as a gap.  Nothing is kept while
 * nobody follows.
 */
#pragma once

#include "app/events.h"
#include "app/gateway.h"

enum follow_format {
    FOLLOW_SSE,    /* "id: SEQ", "event: TOPIC", "data: JSON" */
    FOLLOW_NDJSON, /* a JSON object on each line, see CONTROL.md */
    FOLLOW_FORMATS,
};

struct follow {
    struct loop *loop;
    struct events *events;
    struct events_watcher watcher;
    struct list followers; /* struct follower.node */
    struct list waiting;   /* struct follower.turn: they are to read the store */
    struct list reads;     /* struct reading.node: under way */
    unsigned read_count;
    struct tail_entry *tail; /* a ring of KEPT_MAX, allocated while somebody follows */
    size_t tail_first, tail_count;
    size_t tail_bytes;
    uint64_t floor;  /* whatever was stored above it is in the tail */
    uint64_t newest; /* seq */
    bool known;      /* `newest` is that of the store */
    bool learning;
    bool closing;
    struct task flush; /* the tail has grown */
    struct timer beat;
};

/* Where one begins.  AFTER and no other says what it has seen, or wants, to the message: when
 * some of those are not there any more it is told. */
enum follow_from { FOLLOW_NEW, FOLLOW_FIRST, FOLLOW_AFTER, FOLLOW_TIME, FOLLOW_LAST };

struct follow_request {
    enum follow_format format;
    enum follow_from from;
    uint64_t after;                    /* AFTER: the seq before the first; LAST: how many */
    int64_t time_ms;                   /* TIME */
    struct slice stream;               /* empty: events, that is no jobs and dead letters */
    struct slice pattern;              /* empty: any topic */
    const struct string_list *allowed; /* patterns of which one must match; or NULL */
    uint64_t limit;                    /* so many, then it ends; 0 = any number */
    bool goes_on;                      /* else it ends with what is stored now */
    const struct route_config *route;  /* it ends when this is no more; or NULL */
};

void follow_init(struct follow *, struct loop *, struct events *);

/* Begins the answer of 200, which goes on until one of both ends. */
void follow_begin(struct follow *, struct exchange *, const struct follow_request *);

/* The routes are others: those who followed by one that is gone, or has changed, are ended.
 * What they missed they get when they come again. */
void follow_configure(struct follow *, const struct config *);

/* Ends them all: nodey ends. */
void follow_close(struct follow *);

/* After the loop has ended. */
void follow_deinit(struct follow *);
