/*
 * order: what starts after what, and stops before it: depends_on.
 *
 * A pool waits (POOL_WAITS) until each program that it depends on has started, is ready or
 * has completed, as configured.  It goes on waiting when one of these fails or is stopped,
 * which is told once, because that may be mended.  All of nodey stops the other way round.
 */
#pragma once

#include "pool/pool.h"

void order_init(struct pools *);

/* Waits (true, and rests as POOL_WAITS), or has nothing to wait for. */
bool order_waits(struct pool *);

/* What it needs starts too, though nobody asked for its profile. */
void order_wake(struct pool *);

/* A process began, became ready or ended: those who wait may go on.  Later in this turn. */
void order_changed(struct pools *);

/* Those who depend on it, and want to, are restarted with it. */
void order_restart_dependents(struct pool *);

/* Nodey stops: whatever nothing that runs depends on is told to end. */
void order_stop(struct pools *);
