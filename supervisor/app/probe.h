/*
 * probe: is a service well?  One check of one of its instances, see pool/pool.h.
 *
 * As its healthcheck says: a GET that must answer 200 to 399, a connection that must be
 * accepted, or a command that must end with status 0, run as the service itself is: with its
 * environment, folder, user and limits.  Without a word about it, its port must accept a
 * connection; without a port it is well because it runs.
 */
#pragma once

#include "pool/pool.h"

struct probes {
    struct prober prober;
    struct loop *loop;
};

void probes_init(struct probes *, struct loop *);
