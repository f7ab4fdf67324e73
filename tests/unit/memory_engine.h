/*
 * memory_engine: an engine that keeps everything in memory, in the order of its ops.
 *
 * For tests of what is built on engines.  What it has stored outlives the engine, as a file
 * would, and it can be told to fail, or to stop as a machine does that loses its power.
 */
#pragma once

#include "bus/engine.h"

struct memory_store;

struct memory_store *memory_store_new(void);
void memory_store_free(struct memory_store *);

/* An engine_open_fn: `how` is the store. */
struct engine *memory_engine_open(struct loop *, const struct engine_events *, void *owner,
                                  const void *how, struct err *);
void memory_engine_free(struct engine *);

/* From now on nothing is stored, and everything fails as ENGINE_BROKEN, until it is opened. */
void memory_store_freeze(struct memory_store *);

/* So many of the next publishes and settles end with that status, and are not done. */
void memory_store_fail(struct memory_store *, unsigned count, enum engine_status);

/* From now on no op ends, as with a disk that hangs, until it is let go. */
void memory_store_hold(struct memory_store *, bool held);

/* Removes this message as discard = "old" does, and tells of the gap. */
void memory_store_discard(struct memory_store *, uint64_t seq);

/* What stands in the store. */
size_t memory_count(const struct memory_store *, struct slice stream);
struct message *memory_find(const struct memory_store *, uint64_t seq);
uint64_t memory_last(const struct memory_store *);

/* Is it over for the group with that name in that stream? */
bool memory_is_settled(const struct memory_store *, const char *stream, const char *group,
                       uint64_t seq);
size_t memory_put_off(const struct memory_store *, const char *stream, const char *group);
size_t memory_open_count(const struct memory_store *, const char *stream, const char *group);

/* How many ops of a kind have been done since the store was made. */
unsigned memory_ops(const struct memory_store *, enum op_kind);
