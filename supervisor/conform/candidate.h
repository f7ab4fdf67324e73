/*
 * conform_candidate: a program under test, and this side of a conversation with it.
 *
 * Written for checks that read like a transcript: each call returns when what it waits
 * for has come, or when its time is over.
 */
#pragma once

#include "loop/proc.h"
#include "protocol/c/frame.h"

enum { CANDIDATE_MAX_LINE = 1 << 20 };

/* How to start it; borrowed. */
struct candidate_spec {
    const char *const *argv;
    const char *const *env;
    const char *cwd;
};

/* One line that it wrote on its protocol output. */
struct candidate_line {
    struct list node;
    char *text;
    size_t len;
    enum frame_verdict verdict;
    struct frame frame; /* borrows from `text` */
    bool overlong;      /* cut: it was longer than CANDIDATE_MAX_LINE */
    bool dirty;         /* held bytes that are not UTF-8; has been mended */
};

struct candidate {
    struct loop loop;
    struct proc proc;
    struct list lines; /* struct candidate_line.node: written and not taken yet */
    size_t line_count;
    struct timer limit; /* of the wait under way */
    bool limit_over;
    bool ended; /* the process has */
    bool input_ended;
    bool gone;       /* and its handles */
    bool discarding; /* the rest of an overlong line */
    struct proc_exit exit;
    struct buf unfinished; /* the beginning of a line whose end has not come */
    struct buf last_words; /* of stderr: the last few KiB */
};

/* Starts the program; NULL with a libuv code when that fails. */
struct candidate *candidate_start(const struct candidate_spec *, int *code);

/* Kills what still runs.  Takes NULL. */
void candidate_free(struct candidate *);

/* Writes bytes; they leave with the next wait.  Nothing once its input has ended. */
void candidate_write(struct candidate *, struct slice);

/* Closes its input, once everything is written. */
void candidate_end_input(struct candidate *);

/*
 * The next line, which the caller frees with candidate_line_free(); NULL when none came in
 * time, or none will come because the program has ended.
 */
struct candidate_line *candidate_next(struct candidate *, uint64_t wait_ms);
void candidate_line_free(struct candidate_line *);

/* Waits for its end.  False when it lives on. */
bool candidate_wait_end(struct candidate *, uint64_t wait_ms);

/* "exited with status 1"; "was killed by signal 9 (Killed)". */
void candidate_describe_end(const struct candidate *, char *text, size_t size);
