/*
 * ask: one worker's question to another pool.
 *
 * Tokens are names that workers declare to answer (or that the configuration gives
 * them).  An ask is a call to the pool that has its token; it inherits what is left
 * of the time of the work it is asked for, and is one deeper.  Its args and its
 * answer pass through as bytes.  At start-up an ask waits for its answerer.
 */
#pragma once

#include <stddef.h>

struct buf;
struct frame;
struct frame_id;
struct pool;
struct pools;
struct slot;
struct worker;

/* A worker sent `ask`: answers it, sooner or later, exactly once. */
void ask_from_worker(struct worker *, const struct frame *);

/* A worker sent `cancel` for one of its asks. */
void ask_cancelled(struct worker *, const struct frame_id *);

/* The slot's work is no longer wanted: what it asked for is cancelled. */
void ask_cancel_for(struct slot *);

/* The slot is closed while asks that were made for it are open. */
void ask_orphan_of(struct slot *);

/* The worker's process has ended: nobody waits for its asks any more. */
void ask_asker_gone(struct worker *);

/* What the pools answer has changed, or a pool has settled. */
void ask_tokens_changed(struct pools *);
void ask_retry_lost(struct pools *);

/* NULL when no pool answers the token. */
struct pool *ask_find(const struct pools *, const char *token);

/* The nth token that is answered, in order, and by whom; NULL past the last. */
const char *ask_token(const struct pools *, size_t n, const struct pool **by);

/* Appends that nobody answers the token, and which ones there are. */
void ask_describe_unknown(const struct pools *, const char *token, struct buf *out);

void ask_deinit(struct pools *);
