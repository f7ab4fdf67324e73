/*
 * banner: what a person at a terminal sees when everything has started.
 *
 *     nodey ready on http://127.0.0.1:8000
 *
 *       fib     GET /fib                    workers/fib.py
 *       web     GET /, POST /login, +3      workers/web.js
 *       broken  does not start: SyntaxError: invalid syntax (broken.py, line 3)
 *
 *       workers/notes.txt: left out, neither .py .js .mjs .cjs nor executable (chmod +x)
 *
 *     Watching for changes.  Ctrl-C ends it.
 */
#pragma once

#include "config/config.h"
#include "pool/pool.h"

/*
 * At a terminal (see log_is_pretty()), the above; otherwise one log line with the URL and
 * nothing else.  watching: files that change are taken.
 */
void banner_show(const struct config *, const struct pools *, const char *url, bool watching);

/* Logs that a pool is ready, which was not there before or has a new version. */
void banner_tell_ready(const struct config *, const struct pool *);

/* Logs that the address cannot be listened on, and what to do about it. */
void banner_no_port(const char *address, const struct err *);
