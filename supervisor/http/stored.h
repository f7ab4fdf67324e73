/*
 * stored: an answer whose bytes are ready to be sent again and again.
 *
 * The head is written once, in two parts: what describes the body, and what a 304 says
 * as well.  Only the end of it differs from one sending to the next (X-Cache, Age,
 * X-Request-Id, Connection).  Date stays that of the answer: with another one, whoever
 * is behind would reckon its age wrongly (RFC 9111, 4.2.3).
 *
 * One allocation, counted holds, never changed once made but for what the cache keeps
 * in it.  One without an answer (status 0) is a mark: "what is asked for here cannot be
 * kept".
 */
#pragma once

#include "base/keymap.h"
#include "base/list.h"
#include "http/freshness.h"
#include "http/response.h"

enum { STORED_COPY_MAX = 16 * 1024 };

/* When something was asked for, by the count of writes: see cache.h. */
struct cache_ticket {
    unsigned slot;
    uint32_t writes;
};

/* What to keep.  All is copied. */
struct stored_form {
    struct slice key;
    struct slice vary;                /* names, as freshness_judge() writes them */
    struct slice values;              /* of the request, as vary_values() writes them */
    const struct http_answer *answer; /* that was checked; NULL = a mark */
    struct slice date;                /* "Thu, 01 Jan 1970 00:00:00 GMT": when it was given */
    struct freshness fresh;
    const void *owner; /* whose answer it is; compared and nothing else */
    uint64_t now_ms;
    int64_t now_s; /* the wall clock, for Date */
};

struct stored {
    struct keymap_node node; /* the cache's */
    struct list queue;       /* the cache's, as the next two */
    bool visited;
    struct cache_ticket ticket;
    unsigned holds;
    unsigned status; /* 0 = a mark */
    bool to_all;     /* see struct freshness */
    const void *owner;
    uint64_t made_ms;
    uint64_t until_ms; /* fresh before */
    uint64_t age_s;    /* when it was made */
    int64_t modified_s;
    struct slice key, vary, values;
    struct slice head; /* status line and fields, each with its CRLF */
    size_t common;     /* where in it begins what a 304 has too */
    struct slice etag;
    struct slice body;
    size_t size; /* of all this, with what the allocator adds */
    char bytes[];
};

/* Has one hold. */
struct stored *stored_new(const struct stored_form *);

struct stored *stored_hold(struct stored *);

/* Frees it with the last.  Takes NULL. */
void stored_drop(struct stored *);

static inline bool stored_fresh(const struct stored *s, uint64_t now_ms)
{
    return now_ms < s->until_ms;
}

static inline uint64_t stored_age_s(const struct stored *s, uint64_t now_ms)
{
    return s->age_s + (now_ms - s->made_ms) / 1000;
}

/* How one is sent. */
struct stored_sending {
    struct stored *stored; /* with an answer */
    bool not_modified;     /* 304 in its place */
    bool is_hit;           /* X-Cache: HIT and Age, else MISS */
    uint64_t age_s;
};

/*
 * Writes it; of the framing, the date is not used.  A body of more than STORED_COPY_MAX is
 * left for the caller to send behind it from where it lies.  Returns that, else an empty
 * slice; *body_bytes is the length of the body in either case.
 */
struct slice stored_write(struct buf *, const struct stored_sending *,
                          const struct http_framing *, size_t *body_bytes);
