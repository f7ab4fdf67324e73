/*
 * diff: what a newly loaded configuration changes about the one in use.  Pure.
 *
 * Compares by the table of settings: every row belongs to one of the kinds below.
 * What stands in a script is not looked at; whoever watches files knows of that.
 */
#pragma once

#include "config/config.h"

enum change {
    CHANGE_NONE,
    CHANGE_POOL,    /* only what the pool reads: limits, times, the number of instances */
    CHANGE_PROCESS, /* what makes the process: every instance must be replaced */
};

struct worker_change {
    const struct worker_config *before; /* NULL: it is new */
    const struct worker_config *after;  /* NULL: it is removed */
    enum change change;                 /* CHANGE_PROCESS when one of them is NULL */
};

struct config_diff {
    struct worker_change *workers; /* all: those of `after` in their order, then the removed */
    size_t count;
    bool routes;                /* [[routes]] and routes.json: also when only their order */
    bool server;                /* settings of [server] that apply at once */
    bool bus;                   /* those of events and jobs */
    struct string_list restart; /* keys of [server] whose change needs a restart: "listen" */
};

/*
 * Workers are the same when their names are.  Everything is in the arena or borrows
 * from the two configurations.  Returns how many things differ: workers, the routes,
 * the settings that apply at once, those of the bus, and each setting that needs a restart; 0:
 * nothing.
 */
int config_diff(struct arena *, const struct config *before, const struct config *after,
                struct config_diff *out);
