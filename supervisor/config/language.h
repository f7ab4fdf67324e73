/*
 * language: "node" and "python" as names of a worker, as the balancers of old had them.
 *
 * Each had one program in either language.  Here it is the only one whose file or folder
 * in workers/ begins with the language's name, or else the only one at all.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

/* "Node" or "Python" for such a name in any case; else NULL. */
const char *language_of(struct slice name);

/*
 * The worker that language_of() a name means, or NULL: there is none, or there are
 * several; then they are listed in `candidates`, quoted.
 */
const struct worker_config *language_worker(const struct config *, struct slice name,
                                            struct buf *candidates);
