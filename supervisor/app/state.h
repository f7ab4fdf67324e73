/*
 * state: what nodey remembers from one run to the next: which programs a person stopped.
 *
 * Only those with restart = "unless-stopped", as with compose: with "always" a stop lasts
 * until nodey's next start.  Kept in DATA_DIR/state.json.  A file that cannot be read costs
 * that memory and nothing else; one that cannot be written is told of once.
 */
#pragma once

#include "base/err.h"

struct state {
    char *path;
    char **stopped; /* names */
    size_t count;
    bool told; /* that it cannot be written */
};

/* Reads what there is.  Never fails: what is wrong with the file is logged. */
void state_open(struct state *, const char *data_dir);
void state_close(struct state *);

/* Did a person stop it? */
bool state_is_stopped(const struct state *, const char *name);

/*
 * From now on it is stopped, or is not; written at once, and whole or not at all, when that
 * is new.  `knows` says which names still mean something: others are forgotten.
 */
void state_set_stopped(struct state *, const char *name, bool stopped,
                       bool (*knows)(void *arg, const char *name), void *arg);
