/*
 * access: the access log, one line a request, on standard output; or in development, for
 * eyes at a terminal, a short line among those of the log.
 */
#pragma once

#include "base/secret.h"
#include "config/config.h"
#include "http/server.h"
#include "loop/sink.h"

/* Of `shown`: more requests in one second are counted, and told of later. */
enum { ACCESS_SHOWN_MAX = 100 };

struct access {
    enum access_log kind; /* AUTO: short lines in the log */
    struct sink *sink;
    const struct secrets *secrets; /* whose values are shown to nobody; NULL: none are known */
    long second;                   /* the one that is counted in */
    unsigned shown;
    unsigned long untold;
};

/* What `configured` comes to: AUTO stays so in development at a terminal, or is OFF. */
enum access_log access_kind(int configured, bool dev);

/* The short line.  who: the worker that it went to, or "nodey". */
void access_show(struct access *, const char *who, const struct http_request *, unsigned status,
                 uint64_t took_us);

/* took_us: from the whole request to its answer. */
void access_note(struct access *, const struct http_request *, unsigned status,
                 uint64_t body_bytes, uint64_t took_us);

/* A request that was refused before it could be read. */
void access_note_refused(struct access *, struct slice ip, const struct refusal *);
