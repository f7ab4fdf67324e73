/*
 * conform_judge: what is wrong, in the words of the protocol, and how to mend it.
 *
 * Each reports to the open check of the talk.
 */
#pragma once

#include "conform/talk.h"

enum { JUDGE_FLUSH_MS = 1000 }; /* for what a program wrote and kept, once its input ended */

/* Ways to mend things. */
extern const char judge_flush[];
extern const char judge_go_on[];
extern const char judge_nack[]; /* the same, of a handler of events */

/* The program has ended; `instead` goes on the sentence: "before it answered". */
void judge_end(struct talk *, const char *instead, const char *mend);

/* Nothing came: does it keep what it writes to itself?  Its input is closed to see. */
void judge_silence(struct talk *);

/* A line that is meant to be a frame and is none. */
void judge_broken(struct talk *, const struct candidate_line *);

/* An error frame that answers nothing, but says that a line could not be read. */
void judge_complaint(struct talk *, const struct frame *);

/* An answer that belongs to nothing that is open. */
void judge_foreign_id(struct talk *, const struct frame_id *);

/* Whether a response could be sent to a client. */
void judge_response(struct talk *, const struct frame *);

/* Whether a message could be stored, as far as its frame tells: a publish, or one of an ack's.
 */
void judge_message(struct talk *, const struct frame *);

/* The same of all that an ack publishes. */
void judge_outputs(struct talk *, const struct frame *ack);

/* The last line of a text, which loses its last LF. */
const char *judge_last_line(struct buf *);
