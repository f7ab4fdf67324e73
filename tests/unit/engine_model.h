/*
 * engine_model: what an engine ought to do, in the simplest words, without speed or durability.
 *
 * It is told the same ops as the engine and says what each must answer, who must get what, and
 * how much there is of everything.
 */
#pragma once

#include "base/base.h"
#include "bus/engine.h"

enum { MODEL_STREAMS = 2, MODEL_TOPICS = 3, MODEL_CONSUMERS = 4, MODEL_MESSAGES = 4096 };

enum model_place { MODEL_AHEAD, MODEL_OPEN, MODEL_OFF, MODEL_SETTLED };

struct model_message {
    unsigned stream, topic;
    int id; /* -1: none */
    bool stored;
    enum model_place place[MODEL_CONSUMERS];
    bool again[MODEL_CONSUMERS]; /* open since before the restart, and not delivered anew */
    uint32_t tries[MODEL_CONSUMERS];
};

struct model_consumer {
    bool exists;
    unsigned stream, topics; /* a bit for each topic */
    uint64_t hi, credit;
};

/* Stream 0 is a log, stream 1 deletes what all have settled. */
struct model {
    struct model_message messages[MODEL_MESSAGES]; /* by seq */
    uint64_t seq;
    struct model_consumer consumers[MODEL_CONSUMERS];
};

/* Its seq, or that of the one with the same id. */
uint64_t model_publish(struct model *, unsigned stream, unsigned topic, int id);
enum engine_status model_forget(struct model *, uint64_t seq);
void model_declare(struct model *, unsigned consumer, unsigned stream, unsigned topics,
                   uint64_t from);
void model_drop(struct model *, unsigned consumer);
void model_seek(struct model *, unsigned consumer, uint64_t from);
enum engine_status model_settle(struct model *, unsigned consumer, uint64_t seq, bool later,
                                uint32_t tries);
enum engine_status model_take(struct model *, unsigned consumer, uint64_t seq);

/* The next that the consumer must get for its credit; 0: none. */
uint64_t model_next(struct model *, unsigned consumer);
void model_restart(struct model *);

uint64_t model_lag(const struct model *, unsigned consumer);
uint64_t model_count(const struct model *, unsigned stream);
