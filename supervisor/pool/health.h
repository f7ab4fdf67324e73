/*
 * health: does a worker that should be idle or asynchronous still answer?
 *
 * A worker with the feature `ping` is pinged every ping_interval, except while it
 * works one at a time and is busy: there the request's deadline is the check.  No
 * pong for ping_timeout makes it unhealthy (nothing new is given to it), none for
 * ping_kill gets it replaced.
 */
#pragma once

struct frame;
struct worker;

void health_start(struct worker *);
void health_stop(struct worker *);
void health_pong(struct worker *, const struct frame *);
