/*
 * reproduce: command lines that send a request once more.
 *
 * They are safe to paste into a shell, whatever the request holds, and carry no
 * credentials.  Of the fields only Content-Type goes along.
 */
#pragma once

#include "config/config.h"
#include "http/server.h"

/* Appends the text as one word of a POSIX shell. */
void reproduce_quote(struct buf *, struct slice);

/* Appends "curl -i 'http://host/path'", with method and body. */
void reproduce_by_curl(struct buf *, const struct http_request *);

/*
 * Appends "echo '{...}' | python3 workers/fib.py": one run of the program, on its own.
 * `dir`: paths below it are shortened; `sdk`: "PYTHONPATH=..." in front, or NULL.  False
 * when there is no such line, because the body is long or no text.
 */
bool reproduce_by_hand(struct buf *, const struct http_request *, const struct worker_config *,
                       const char *dir, const char *sdk);
