/*
 * app: the composition root of `nodey up`: what exists, and the order in which it
 * starts and stops.
 *
 *   start: data folder, SDKs, keeper, loop, pools; when every pool has settled, the port
 *   stop:  the port, requests under way, pools, loop
 */
#pragma once

#include "config/config.h"

struct chaos;

struct app_options {
    const char *file;   /* for config_load(), also when it is loaded again; may be NULL */
    const char *listen; /* instead of the configured address; may be NULL */
    bool dev, no_dev;   /* --dev, --no-dev: instead of what is configured */
    bool watch, no_watch;
    bool background; /* nobody looks: once the port is open only the log files are written */
    const char *const *profiles; /* asked for by --profile; NULL-terminated, or NULL */
    const char *const *only;     /* run these and what they need; NULL-terminated, or NULL */
    const char *exit_code_from;  /* ends with this program, and as it did; or NULL */

    /*
     * A run for one command, beside a nodey that may be up: no port, no lock on the
     * data folder, and its control socket at this path.  NULL for a run that serves.
     */
    const char *private_socket;

    /* Of such a run: it is for stories, with a bus of its own (config->bus.dir). */
    bool plays;

    struct chaos *chaos; /* what happens to messages on purpose; or NULL */
};

/*
 * Makes of a configuration one for a run for stories, whose bus is in the folder `dir`, which
 * must outlive it: one instance of each worker, no services, nothing by the clock.
 */
void app_prepare_story(struct config *, const char *dir);

/*
 * Serves until it is told to stop (SIGTERM, SIGINT; a second one stops at once).
 * Takes over the caller's hold of the configuration, which was loaded with these
 * options.  Returns the exit code: 0 after an orderly end, 1 when it could not start,
 * 130 or 143 when it was told twice.
 */
int app_run(struct config *, const struct app_options *);
