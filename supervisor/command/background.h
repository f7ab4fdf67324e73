/*
 * background: `nodey up -d`: a nodey that goes on when the command ends.
 */
#pragma once

#include "app/app.h"

struct background {
    struct config *config; /* it takes over the caller's hold */
    const struct app_options *options;
    const char *const *names; /* of the command line */
    size_t name_count;
    bool wait;         /* until all are ready, not only until the port is open */
    uint64_t limit_ms; /* for that */
};

/*
 * Starts it, waits as told and prints what runs and where its log goes; or what it said, when
 * it did not start.  Where one is up already, the programs that were named are started. Returns
 * the exit code.
 */
int background_run(const struct background *);
