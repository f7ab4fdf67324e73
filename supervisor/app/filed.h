/*
 * filed: answers that name a file, which nodey sends itself.
 */
#pragma once

#include "config/config.h"
#include "http/server.h"
#include "protocol/c/frame.h"

/*
 * Opens the file that a response names.  It must lie, links resolved, in one of the worker's
 * file_roots, and be a regular file that reaches as far as the response says.  0 and a file
 * to send, or -1 with a sentence.
 */
int filed_open(const struct worker_config *, const struct frame *, struct http_file *,
               struct err *) MUST_CHECK;
