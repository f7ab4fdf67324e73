/*
 * access: the access log, one line a request, on standard output.
 */
#pragma once

#include "config/config.h"
#include "http/server.h"
#include "loop/sink.h"

struct access {
    enum access_log kind;
    struct sink *sink;
};

/* took_us: from the whole request to its answer. */
void access_note(struct access *, const struct http_request *, unsigned status,
                 uint64_t body_bytes, uint64_t took_us);

/* A request that was refused before it could be read. */
void access_note_refused(struct access *, struct slice ip, const struct refusal *);
