/*
 * limits: what an instance may use, and who sees to it.
 *
 * Where cgroups can be had (see os/cgroup.h) each instance with limits has a group of its own,
 * and the kernel keeps them.  Elsewhere nodey keeps them itself, less strictly:
 *
 *   memory   its processes' memory is looked at, the more often the nearer it is to the limit
 *            (10 times a second to once); above it they are killed.  Python also gets a
 *            RLIMIT_DATA of twice the limit and 1 GiB (its threads' stacks count too),
 *            against one great step between two looks: there it is an exception.  Not so
 *            others, who end when memory is refused, and some of whom reserve what they
 *            never touch.
 *   pids     processes and threads are counted once a second; above it they are killed.  A
 *            program with a user of its own also gets a RLIMIT_NPROC.
 *   cpus     it only yields to others, by a lower priority.
 *   memory_reservation cannot be kept.
 *
 * What is in force is said once at the start; see limits_describe().
 *
 * max_memory is always looked at: above it an instance is replaced once it is done with what
 * it has, its successor being ready first.
 */
#pragma once

#include "base/account.h"
#include "base/buf.h"
#include "pool/pool.h"

/*
 * Fills in how a process of this instance is confined, and makes its group if it needs one and
 * has none.  `storage` holds the user's name for as long as the result is used.  0, or a
 * negative code with a sentence: it must not be started then.
 */
int limits_confine(struct worker *, struct confine *, struct account *storage,
                   struct err *) MUST_CHECK;

/* Its process runs: from now on it is looked at, if it has limits to look after. */
void limits_begin(struct worker *);

/*
 * Its process has ended, or never began: what is left of its group goes too.  When the kernel
 * killed it because of its memory, `end` and `cause` say so from now on; and it is told at once
 * when it has a successor already, as nobody else would.
 */
void limits_end(struct worker *);

/* The pool has another configuration: its limits apply to what runs. */
void limits_apply(struct pool *);

/* Measures each of its processes now: worker->usage. */
void limits_measure(struct pool *);

/*
 * Appends one sentence: which limits are in force, and how.  Nothing when no program has any.
 * True when all that was asked for is kept by the kernel.
 */
bool limits_describe(const struct pools *, struct buf *);
