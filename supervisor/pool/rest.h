/*
 * rest: pools that do not run, without anything being wrong, and what ends that.
 *
 * A pool rests because it waits for others (order.h), because a person stopped it, because
 * its restart policy let its processes end, or because nobody asked for its profile.
 */
#pragma once

#include "pool/pool.h"

/* Is it of a profile that nobody asked for, or not among those that were named? */
bool rest_is_dormant(const struct pool *);

/* Runs as soon as its own old processes have gone and what it depends on is there. */
void rest_begin(struct pool *);

/* Runs now. */
void rest_over(struct pool *);

/* It is not started again in this place, which is empty: the pool may have ended. */
void rest_place_ended(struct pool *, struct instance *, bool well, const char *how);

/* Its configuration is another one: what it waits for may be too, or when it is restarted. */
void rest_configured(struct pool *, bool policy_changed);

/* A process of it has ended: was that the last that something waits for? */
void rest_process_ended(struct pool *);
