/*
 * canonical: a configuration as it will run, written out by the table of settings: defaults
 * filled in, included files joined, variables replaced, drop-in programs listed as the others.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "config/config.h"

enum {
    CANONICAL_SECRETS = 1, /* show the values of secrets, which are *** otherwise */
    CANONICAL_DERIVED = 2, /* also what follows from other values: the command of a script */
};

/*
 * {"server": {...}, "workers": {NAME: {...}}, "services": {NAME: {...}}, "routes": [...]}, and
 * where events and jobs are configured "bus", "streams", "queues" and "schedule": the keys and
 * the values as they are written in a nodey.toml.  Routes of a routes.json have "listed": true,
 * which is no setting.  The caller releases it.
 */
json_t *config_canonical(const struct config *, unsigned flags);

/* One program's part of that. */
json_t *config_canonical_program(const struct config *, const struct worker_config *,
                                 unsigned flags);

/*
 * Appends such a tree as TOML.  Loaded in the same folder it is an equal configuration, when
 * secrets are shown.  Routes of a routes.json, which is loaded with it, are comments.
 */
void config_canonical_toml(const json_t *, struct buf *);
