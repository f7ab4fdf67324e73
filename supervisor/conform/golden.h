/*
 * conform_golden: one golden transcript under way (protocol/vectors/README.md).
 *
 * Shared by golden.c, which holds the conversations, and pieces.c, which knows the steps
 * that look at bodies in pieces.
 */
#pragma once

#include "conform/match.h"
#include "conform/talk.h"

enum {
    GOLDEN_WAIT_MAX_MS = 10000, /* the longest pause in a transcript */
    GOLDEN_WINDOW = 262144,     /* of a worker that names none */
    GOLDEN_ANSWERS = 16,        /* ids of one transcript whose answers are received */
};

/* An answer of which some may have come. */
struct golden_answer {
    uint64_t id;
    bool begun;
    bool over;
};

struct golden {
    struct talk *talk;
    struct candidate *worker;
    struct match_bindings bindings;
    struct json_value transcript;
    uint64_t window; /* of the worker, for each request's body */
    bool uploading;  /* credit is looked at */
    struct golden_answer answers[GOLDEN_ANSWERS];
    size_t answer_count;
};

/* The next frame that is nobody's log; NULL when none came in time or none will. */
struct candidate_line *golden_next(struct golden *, uint64_t wait_ms);

/*
 * The next frame as a value, which borrows from the line.  False: none came in time, or it is
 * no JSON: reported.  The caller frees the line, which may be NULL.
 */
bool golden_read(struct golden *, struct json_value *frame, struct candidate_line **);

/* `receive`, `upload` or `quiet`.  False: it did not go as it says, reported. */
bool golden_step(struct golden *, const struct json_value *step);
