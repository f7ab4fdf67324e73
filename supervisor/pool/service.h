/*
 * service: what is different when a program speaks no protocol.
 *
 * It is ready when its check succeeds for the first time, see struct prober: by default its
 * port must accept a connection; without a port it must have run for a second.  A configured
 * check goes on after that: when it fails `retries` times in a row the instance gets no
 * requests and is replaced.
 */
#pragma once

#include "config/config.h"
#include "pool/worker.h"

/* Where this instance is to listen; 0: nowhere, or there is no free port. */
uint64_t service_port(const struct worker *);

/* Its process runs: ready now, or after a check. */
void service_started(struct worker *);

/* Until when it must be ready, in ms from its start. */
uint64_t service_start_limit(const struct worker_config *);

/*
 * Why it is not well, as its last check said; and, if its processes listen elsewhere than they
 * were told to, that, and what to do.  Empty: nothing is known.
 */
void service_why_unwell(const struct worker *, char *why, size_t size);

/* It is ready and takes requests: from now on it is looked after. */
void service_watch(struct worker *);

/* No more checks. */
void service_stop(struct worker *);

/*
 * Does somebody listen already where this instance is to?  Then it could not, and what answers
 * there is not its.  `why` says who it is, for a person.  Always false with a port of nodey's
 * choice.
 */
bool service_port_is_taken(const struct worker *, char *why, size_t size);
