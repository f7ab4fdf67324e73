/*
 * busdoor_parts: what the files of busdoor_follow share.  Nobody else includes it.
 */
#pragma once

#include "app/busdoor_follow.h"
#include "loop/work.h"

/* One who reads.  Lives in the arena of its exchange and ends with it. */
struct follower {
    struct pending pending;
    struct list node; /* follow->followers */
    struct list turn; /* follow->waiting */
    struct follow *follow;
    struct exchange *exchange;
    struct reading *reading; /* NULL: none is under way */
    struct follow_request request;
    const char *path; /* of its route; NULL: it has none */
    uint64_t pos;     /* seq: the last that it was given, or that is not for it */
    uint64_t told;    /* seq: up to here it knows of what was removed, or does not ask */
    uint64_t before;  /* LAST: what lies below has not been looked at */
    uint64_t page;    /* messages that it reads at a time */
    bool begun;       /* `pos` says something */
    bool seeks;       /* it does not, until it was read where to begin */
    bool wrote;       /* since the last beat */
};

/* Messages of the store, on their way to one follower. */
struct reading {
    struct op_read op;
    struct list node; /* follow->reads */
    struct follow *follow;
    struct follower *who; /* NULL: it has gone */
    uint64_t mark;        /* all that was stored up to here is seen */
    size_t at;            /* of op.messages: the next */
    struct arena arena;
    struct work work; /* loads data that is a file */
    struct buf data;
    char *path;
    int trouble;
    bool loaded;
};

/* ---------------------------------------------------------- busdoor_follow.c */

bool follower_wants(const struct follower *, const struct message *);

/* False: it has ended, and is no more. */
bool follower_give(struct follower *, struct slice text);

/* It takes no more for now; it will be called upon. */
bool follower_is_full(const struct follower *);

/* The answer is whole; or it is cut off, so that its client sees that it is not. */
void follower_end(struct follower *, bool whole);

/* Goes on from where it is. */
void follower_advance(struct follower *);

/* The newest message of the store is this one: those who wait for that may begin. */
void follow_learned(struct follow *, uint64_t newest);

/* ---------------------------------------------------------- busdoor_read.c */

/* The follower reads the store when it is its turn. */
void read_wanted(struct follower *);

/* It has gone. */
void read_forget(struct follower *);

/* Which is the newest message? */
void read_newest(struct follow *);

/* ---------------------------------------------------------- busdoor_text.c */

/* Appends that these are not there any more; an SSE client is past them when `passed`. */
void follow_write_gap(enum follow_format, uint64_t from, uint64_t to, bool passed,
                      struct buf *);

/* Appends the message; `data` is what it carries. */
void follow_write(enum follow_format, const struct message *, struct slice data, struct buf *);
