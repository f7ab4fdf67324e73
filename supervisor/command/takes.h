/*
 * takes: what the verbs take, learned from the verbs themselves.
 */
#pragma once

#include "base/buf.h"
#include "command/cli.h"

/*
 * Appends the options of a verb, a line for each as OPTIONS_LIST says.  Runs the verb, which
 * does nothing but list them.  Nothing is appended for a verb that takes none.
 */
void takes_options(const struct verb *, struct buf *);

/* The verb of that name, also by another name of it, but none that is hidden; or NULL. */
const struct verb *takes_verb(const char *name);
