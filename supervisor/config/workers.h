/*
 * workers: from [defaults], [workers.NAME] and what lies in workers/ to worker_configs.
 *
 * A worker has what is built in, below [defaults] of its own file, below its section.
 * A program in workers/ that no section takes is a worker by itself, with the first
 * file's [defaults].  A section takes one by naming it in script or command, or by its
 * own name when it has neither.
 */
#pragma once

#include "config/document.h"

/*
 * Fills in c->workers; c->server has been read.  0, or a sentence.  Finding no worker at
 * all is a failure too.
 */
int workers_load(struct config *, const struct documents *, struct journal *,
                 struct err *) MUST_CHECK;
