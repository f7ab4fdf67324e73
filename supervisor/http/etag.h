/*
 * etag: conditional requests (RFC 9110, 13).  Pure.
 */
#pragma once

#include "base/slice.h"

struct http_request;

/* What tells one state of a representation from another. */
struct validators {
    struct slice etag;  /* with its quotes; empty = none */
    int64_t modified_s; /* by the wall clock; -1 = not known */
};

enum condition {
    CONDITION_TRUE,         /* go on */
    CONDITION_NOT_MODIFIED, /* 304 */
    CONDITION_FAILED,       /* 412 */
};

/* Judges If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in the order of
 * 13.2.2; the method is GET or HEAD. */
enum condition etag_judge(const struct http_request *, const struct validators *);

/*
 * Whether a Range may be obeyed as far as If-Range goes: there is none, or it names this very
 * state.  now_s: the wall clock; a date says too little of what changed within the last second.
 */
bool etag_range_holds(const struct http_request *, const struct validators *, int64_t now_s);
