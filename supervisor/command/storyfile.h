/*
 * storyfile: a story that was recorded, a JSON object on each line.
 *
 *   {"kind":"story","version":1,"programs":["moderation"]}   who takes part; may be left out
 *   {"kind":"pub","t":0,"from":"http","topic":"comment.created","key":"p1","data":{...}}
 *   {"kind":"pub","t":12,"from":"moderation","topic":"comment.moderated","cause":"1",...}
 *
 * Lines of other kinds (event, ack, nack) say who took part.  What a program that runs
 * published for another message is expected of it; all else is given.  So with all programs
 * only what came from outside is given, and with one also what the others told it.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "client/session.h"

struct storyfile {
    const char *path;
    json_t *pubs;     /* an array of the "pub" lines, in their order */
    json_t *programs; /* an object, whose members are who takes part */
};

/* 0, or EXIT_REFUSED after saying what is wrong, with file and line.  To be freed if 0. */
int storyfile_load(struct storyfile *, const char *path) MUST_CHECK;
void storyfile_free(struct storyfile *);

/* Only this one is to run.  0, or EXIT_REFUSED: it takes no part. */
int storyfile_only(struct storyfile *, const char *program) MUST_CHECK;

/* Is it expected of those that run? */
bool storyfile_expects(const struct storyfile *, const json_t *pub);

/* How it is played. */
struct storyplay {
    const char *file;    /* the configuration */
    double speed;        /* 0: each as soon as all that the one before led to is handled */
    uint64_t timeout_ms; /* for what one of them leads to */
};

/*
 * Plays it in a run of its own, with an empty bus: `pubs` is then what was published, an array
 * as of a file.  0, or EXIT_REFUSED or EXIT_UNREACHABLE after saying why.
 */
int storyfile_play(const struct storyfile *, const struct storyplay *,
                   json_t **pubs) MUST_CHECK;

/* Appends a "pub" line as it is kept: without what is another one in each run. */
void storyfile_write_pub(const json_t *pub, long long begun_ms, struct buf *out);

/*
 * Appends a sentence for each difference between what was expected and what came; returns how
 * many.  Ids, times and traces differ in each run, and "*" stands for anything.
 */
size_t storyfile_compare(const struct storyfile *, const json_t *came, struct buf *out);

/* Becomes a run for stories: see STORY_VERB. */
int storyfile_run(int argc, char **argv);
