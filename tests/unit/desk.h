/*
 * desk: an engine driven by hand, one op after the other, and what it says meanwhile.
 */
#pragma once

#include "base/buf.h"
#include "bus/engine.h"

/* A kind of engine, and what it can do: what it cannot is not tested of it. */
struct engine_kind {
    const char *name;
    struct engine *(*open)(struct loop *, const char *dir, const struct engine_events *,
                           void *owner, struct err *);
    void (*free)(struct engine *);
    bool durable; /* what it has stored is there after a restart */
    bool dedupe, replay, delay, atomic_outputs;
    bool exact_lag, gaps, blobs, bounded; /* `bounded`: max_bytes is kept to */
};

struct desk_gap {
    uint32_t consumer;
    uint64_t from, to;
};

struct desk {
    const struct engine_kind *kind;
    struct loop loop;
    struct engine *engine;
    struct delivery_note *notes; /* not yet taken by desk_next() */
    size_t note_count, note_cap;
    uint64_t stored[256]; /* seqs as they were told */
    size_t stored_count;
    struct desk_gap gaps[64];
    size_t gap_count;
    struct buf told; /* sentences, a line each */
    bool closed;
    uint64_t last_seq; /* of desk_publish() */
    bool duplicate;
    char error[200];
};

/* False with a sentence. */
bool desk_try_open(struct desk *, const struct engine_kind *, const char *dir, struct err *);
void desk_open(struct desk *, const struct engine_kind *, const char *dir);
void desk_close(struct desk *);
void desk_reopen(struct desk *, const char *dir);

/* Submits it and waits for its end. */
enum engine_status desk_do(struct desk *, struct op *, enum op_kind);

/* Waits for the op, which was submitted with desk_submit(). */
void desk_submit(struct desk *, struct op *, enum op_kind);
enum engine_status desk_wait(struct desk *, struct op *);

enum engine_status desk_declare(struct desk *, struct op_stream);

/* A stream for the tests: any size, a window of two minutes. */
void desk_stream(struct desk *, const char *name);
void desk_queue(struct desk *, const char *name);

/* Its id; patterns with blanks between.  What it has put off is in `op`, when that is given. */
uint32_t desk_consumer(struct desk *, const char *stream, const char *name,
                       const char *patterns, struct start, struct op_consumer *op);
void desk_forget_put_off(struct op_consumer *);

enum engine_status desk_publish(struct desk *, struct message_parts);

/* Shorthand: its seq, or 0. */
uint64_t desk_put(struct desk *, const char *stream, const char *topic, const char *data);
void desk_credit(struct desk *, uint32_t consumer, uint32_t more);
enum engine_status desk_settle(struct desk *, uint32_t consumer, uint64_t seq);
enum engine_status desk_later(struct desk *, uint32_t consumer, uint64_t seq, uint32_t tries,
                              int64_t due_ms);
enum engine_status desk_take(struct desk *, uint32_t consumer, uint64_t seq);
uint32_t desk_seek(struct desk *, uint32_t consumer, struct start);

/* The next delivery, of this consumer, in the order of their coming: fails after five seconds.
 */
struct delivery_note desk_next(struct desk *, uint32_t consumer);

/* Its seq, with the reference let go. */
uint64_t desk_next_seq(struct desk *, uint32_t consumer);

/* Waits, though not for ever, until the consumer was shown all there is in its stream. */
void desk_fed(struct desk *, uint32_t consumer, const char *stream);

/* Waits, though not for ever, for some delivery: false when there is none. */
bool desk_awaits(struct desk *);

/* There is no delivery, and none comes. */
void desk_quiet(struct desk *);

/* What is there, in order: one number after the other. */
struct op_read desk_read(struct desk *, struct op_read);
void desk_read_free(struct op_read *);
size_t desk_count(struct desk *, const char *stream);
struct stream_info desk_stream_info(struct desk *, const char *stream);
struct consumer_info desk_consumer_info(struct desk *, uint32_t consumer);

#define FROM_FIRST ((struct start){.kind = START_FIRST})
#define FROM_NEW   ((struct start){.kind = START_NEW})
