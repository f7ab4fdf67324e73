/*
 * chaos: what may happen to any message sooner or later, happening often and on purpose, to
 * see whether handlers bear it.  For `nodey up --chaos`.
 *
 *   dup=5%          handled, and then given once more, as when an ack is lost
 *   delay=0..2s     given later by a time between these
 *   reorder=unkeyed messages without a key come in any order
 *   kill=1%         the worker is killed while it handles it, at the latest when it says that
 * it has, before that is known nak=5%          handled, and then taken for failed
 *
 * What a handler published with such an ack is dropped with it.  The last attempt of a message
 * is let alone: chaos makes no dead letters.  What befalls which message follows from the seed,
 * its seq, its group and its attempt: the same in another run, if the same is published in the
 * same order.
 */
#pragma once

#include "base/err.h"
#include "bus/bus.h"

struct worker;

enum { CHAOS_SEEN = 4096 };

struct chaos {
    uint64_t seed;
    double dup, kill, nak; /* 0..1 */
    uint64_t delay_min_ms, delay_max_ms;
    bool reorder;
    uint64_t seen[CHAOS_SEEN]; /* what was doubled, and has not come again; 0: free */
};

/* What chaos does to a message that was handled. */
enum chaos_blow { CHAOS_NONE, CHAOS_DUP, CHAOS_KILL, CHAOS_NAK };

/* Reads the words of --chaos.  0, or -1 with a sentence that names what is wrong. */
int chaos_parse(const char *words, struct chaos *, struct err *) MUST_CHECK;

/* Appends them again, with the seed: what to type to have the same. */
void chaos_describe(const struct chaos *, struct buf *out);

/* How long this is kept back before it is given, in ms. */
uint64_t chaos_delay(const struct chaos *, const struct delivery *);

/* How long after it was given its worker is to be killed, in ms; UINT64_MAX: not at all. */
uint64_t chaos_moment(const struct chaos *, const struct delivery *);

/* Kills it.  False: it is let alone, because another message that it has is at its last
 * attempt. */
bool chaos_kill(struct worker *);

/* What happens to it now that it was handled.  Each message is doubled once for a group. */
enum chaos_blow chaos_strike(struct chaos *, const struct delivery *);
