/*
 * conform_talk: the supervisor's half of a conversation, strictly.
 *
 * What a real supervisor would forgive or only log is reported here to the open check,
 * with the words of the protocol.
 */
#pragma once

#include "conform/candidate.h"
#include "conform/report.h"
#include "protocol/c/ready.h"

enum {
    TALK_OPEN_MAX = 64,
    TALK_ANSWER_MS = 10000, /* unless talk.answer_ms says otherwise */
    TALK_WINDOW = 262144,
    TALK_QUIET_MS = 150, /* how long nothing must come where nothing may */
};

/* What is done with an ask of the program. */
enum talk_asks { TALK_REFUSE_ASKS, TALK_ANSWER_ASKS, TALK_HOLD_ASKS };

/* What it is decides which frames may be its last one. */
enum talk_kind { TALK_REQUEST, TALK_ASK, TALK_EVENT };

/* Something that was sent and awaits its last frame. */
struct talk_item {
    uint64_t id;
    enum talk_kind kind;
    bool cancelled;
    bool in_pieces;    /* its answer has begun, with `more` */
    uint64_t credit;   /* bytes of its answer that may still come */
    uint64_t consumed; /* that came, and for which no new credit was given */
};

struct talk {
    const struct candidate_spec *spec;
    struct report *report;
    struct candidate *peer; /* NULL: not running */
    uint64_t answer_ms;     /* how long an answer may take */
    bool spoke;             /* this process has written a line since it was ready */
    bool may_be_silent;     /* it counts as ready when it has lived for 2 s */
    bool was_silent;        /* and did so */
    bool declared;          /* `ready` holds what it said of itself */
    struct ready ready;
    const char *method; /* of a request that it serves, and its path */
    const char *path;
    uint64_t next_id;
    struct talk_item open[TALK_OPEN_MAX]; /* in the order of sending */
    size_t open_count;
    uint64_t window;   /* of answers in pieces, as hello said */
    bool holds_credit; /* none is given for what came */
    bool in_pieces;    /* an answer has come in pieces */
    enum talk_asks asks;
    unsigned asked;     /* asks that came */
    bool acked;         /* the event that ended last was handled */
    uint64_t published; /* and so many messages */
    char *held;         /* the id of an ask that waits for its answer, as it was written */
    char stray[200];    /* the first line that was no frame */
    struct arena arena; /* what the report borrows */
};

struct talk_request {
    const char *method; /* NULL: the talk's own */
    const char *path;
    const char *before; /* members behind the id, each with its comma behind it */
    const char *after;  /* members at the end, each with its comma in front */
};

void talk_deinit(struct talk *);

/* Starts the program and hears that it is ready.  False: reported. */
bool talk_start(struct talk *);

/* As talk_start(), but only when it does not run already. */
bool talk_ensure(struct talk *);

/* Kills it. */
void talk_stop(struct talk *);

/* Ends the open check; after a fault the next one gets a new process. */
void talk_end_check(struct talk *);

/* Sends a line as it is, with an LF. */
void talk_send(struct talk *, const char *fmt, ...) PRINTF_LIKE(2, 3);
void talk_send_slice(struct talk *, struct slice line);

/* Sends a request and returns its id, which is open from then on. */
uint64_t talk_request(struct talk *, const struct talk_request *);

/* Makes an id open for something that is to be sent by talk_send(). */
uint64_t talk_open(struct talk *, enum talk_kind);

/* Cancels what is open; the reason is a word of the protocol. */
void talk_cancel(struct talk *, uint64_t id, const char *reason);

/* Sends `hello`; answers that begin from now on have this window.  0: the usual one. */
void talk_hello(struct talk *, uint64_t window);

/* Gives so much more credit for what is open. */
void talk_credit(struct talk *, uint64_t id, uint64_t bytes);

/*
 * Hears until everything open has got its last frame.  False when something else came,
 * or nothing in time: reported.
 */
bool talk_hear_all(struct talk *);

/*
 * The next frame that is no log line, no ask that is dealt with and no answer to what
 * is open; NULL when none came in time, when the program has ended, or when what came
 * was bad (reported).
 */
struct candidate_line *talk_next(struct talk *, uint64_t wait_ms);

/* Hears for a moment that nothing comes.  False: something came, reported. */
bool talk_hear_nothing(struct talk *);

/* Nothing comes, and then a request is answered: after something that has no answer. */
void talk_hear_one_more(struct talk *);

/* Hears that it ends by itself with status 0.  False: reported. */
bool talk_hear_end(struct talk *, uint64_t wait_ms);

/* Answers the ask that is held. */
void talk_answer_held(struct talk *, const char *value);
