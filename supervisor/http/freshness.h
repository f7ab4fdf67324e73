/*
 * freshness: may an answer be kept for others, and for how long?  Pure.
 *
 * RFC 9111, for a shared cache in front of one origin whose owner has asked for it
 * (`cache` of the route).  Kept is what was asked for by GET and
 *
 *   - says nothing against it: no Cache-Control of no-store, no-cache or private (of
 *     single fields too), no Set-Cookie, no Vary: *;
 *   - has a time to live: s-maxage, else max-age, else Expires, else the route's own.  The
 *     last is only for 200, 203, 204, 300, 301, 308, 404 and 410, since nobody has
 *     thought of keeping the others.  206, 304 and 5xx are never kept;
 *   - was not asked for with Authorization, unless it says public, s-maxage or
 *     must-revalidate.
 */
#pragma once

#include "http/response.h"

struct http_request;

enum {
    FRESH_MAX_S = 365 * 24 * 3600, /* longer is cut */
    VARY_NAMES_MAX = 16,           /* an answer that varies by more is not kept */
    VARY_BYTES_MAX = 1024,
};

/* What a request asks of a cache. */
struct cache_wish {
    bool authorized; /* has Authorization */
    bool no_store;   /* neither this request nor its answer may be kept */
    bool no_cache;   /* the answer must be new */
    bool only_if_cached;
    uint64_t max_age_s; /* UINT64_MAX = any */
    struct slice if_none_match;
    struct slice if_modified_since;
};

void cache_wish_read(struct cache_wish *, const struct http_request *);

/* What an answer allows. */
struct freshness {
    uint64_t ttl_ms; /* from now on; 0 = may not be kept */
    uint64_t age_s;  /* its age already */
    bool to_all;     /* also for requests with Authorization */
};

/*
 * default_ms: the route's own time to live.  authorized: of the request.  now_s: the
 * wall clock.  `vary` gets the names of Vary that are not in it yet: lower case, one a
 * line ("accept-language\ncookie\n"); its content is of no use when ttl_ms is 0.
 */
struct freshness freshness_judge(const struct http_answer *, uint64_t default_ms,
                                 bool authorized, int64_t now_s, struct buf *vary);

/*
 * The values that the request has for these names (as freshness_judge() writes them),
 * appended so that they can be compared: equal bytes, equal values.
 */
void vary_values(struct slice names, const struct http_request *, struct buf *values);

/* Any of the three forms of an HTTP date (RFC 9110, 5.6.7) in seconds; -1 when it is none. */
int64_t http_date_read(struct slice);

/*
 * Does a validator of the request fit, so that 304 says it all?  etag: with its quotes,
 * empty = none; modified_s: -1 = not known.
 */
bool not_modified(const struct cache_wish *, struct slice etag, int64_t modified_s);
