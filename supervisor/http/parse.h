/*
 * parse: bytes to a request's head.  Pure.
 *
 * Two steps, so that a head that is still arriving costs a connection 8 bytes: while
 * it arrives, the scan looks at each line once and refuses what no honest client
 * sends as soon as the line is whole; when the head is complete it is copied and read
 * in one go by llhttp.  The scan is stricter than llhttp 8.1, which lets through line
 * folding, repeated blanks in the request line, a missing version, empty field names
 * and any number of empty lines in front.  Both must agree.
 */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

struct http_limits;
struct refusal;

/* How much of a head has been looked at; zeroed = nothing. */
struct head_scan {
    uint32_t at;    /* bytes in whole lines */
    uint32_t lines; /* not counting the empty one at the end */
};

enum scan_verdict { SCAN_MORE, SCAN_DONE, SCAN_REFUSED };

/*
 * Looks on: `bytes` begins with the request line and holds at least what it held at
 * the last call.  SCAN_DONE: the head is the first `at` bytes.
 */
enum scan_verdict head_scan(struct head_scan *, struct slice bytes, const struct http_limits *,
                            struct refusal *);

/* In the arena, as a whole. */
struct head {
    struct slice method;
    struct slice target;
    unsigned minor;       /* HTTP/1.x */
    struct field *fields; /* names in lower case, values trimmed */
    unsigned char *ids;   /* enum field_id of each */
    size_t field_count;
    bool chunked;
    bool has_length; /* there is a Content-Length */
    uint64_t length; /* of the body, when it is not chunked */
    bool keep_alive; /* the client's wish */
    bool expects_continue;
};

/* Reads a head that was scanned: `raw` with its last empty line.  False: refused. */
bool head_parse(struct slice raw, size_t lines, struct arena *, struct head *,
                struct refusal *);
