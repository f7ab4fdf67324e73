/*
 * json: scan and write JSON without building a tree.
 *
 * The scanner validates RFC 8259 strictly and hands out slices of the text it was
 * given; nothing is copied and nothing recurses.  It is the hot path's reader:
 * what it calls a value may be spliced into another document byte for byte.
 */
#pragma once

#include "base/utf8.h"

enum { JSON_MAX_DEPTH = 64 };

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* One value, borrowed from the scanned text. */
struct json_value {
    enum json_type type;
    bool escaped;     /* a string with at least one backslash in it */
    struct slice raw; /* all of its bytes, a string's quotes included */
};

struct json_scan {
    const char *ptr;
    const char *end;
    const char *fault; /* NULL, or a static sentence: why the last call failed */
    unsigned depth;    /* levels around the text, which count towards JSON_MAX_DEPTH */
    bool dirty;        /* bytes that are not UTF-8, or a lone surrogate, were passed */
    bool first;        /* an iterator before its first member or item */
};

void json_scan_init(struct json_scan *, struct slice text);

/*
 * Scans one whole value, with the white space before it.  Returns false and sets
 * `fault` when the text is not JSON or nests deeper than JSON_MAX_DEPTH.
 */
bool json_scan_value(struct json_scan *, struct json_value *out);

/* True when only white space is left. */
bool json_scan_done(struct json_scan *);

/*
 * Walks the members of an object or the items of an array.  `it` starts as
 * json_iter(value); false at the end.  Each step validates what it passes, so a
 * container that was never scanned (its `raw` begins with the bracket) may be
 * walked too: then false with a `fault` means that it is not JSON, and false without
 * one leaves `it` behind the closing bracket.
 */
struct json_scan json_iter(const struct json_value *container);
bool json_next_member(struct json_scan *it, struct json_value *key, struct json_value *value);
bool json_next_item(struct json_scan *it, struct json_value *value);

/* True when a string value, unescaped, equals the ASCII literal. */
bool json_string_is(const struct json_value *, const char *ascii);

/* A whole number 0..max written without fraction or exponent. */
bool json_to_u64(const struct json_value *, uint64_t max, uint64_t *out);

/* Any number as a double. */
bool json_to_double(const struct json_value *, double *out);

/* A string's text between the quotes: meaningful as bytes only when !escaped. */
struct slice json_inner(const struct json_value *);

/* Appends a string's text as UTF-8; lone surrogates and bad bytes become U+FFFD. */
void json_unescape(const struct json_value *, struct buf *out);

/*
 * Appends a string's text as bytes, one per character (U+00XX is byte XX).
 * False, and nothing appended, when a character is beyond U+00FF.
 */
bool json_unescape_latin1(const struct json_value *, struct buf *out);

/* Writes a quoted string.  Input that is not UTF-8 comes out with U+FFFD. */
void json_write(struct buf *, struct slice utf8);

/* Writes a quoted string of bytes, one character U+00XX for each. */
void json_write_latin1(struct buf *, struct slice bytes);

/*
 * Copies JSON text, mending what makes a scan dirty: each bad byte sequence and each
 * lone surrogate escape becomes U+FFFD.  Text that is no JSON comes out as UTF-8.
 */
void json_write_clean(struct buf *, struct slice raw);

/* True when json_write_clean() would change nothing. */
bool json_clean(struct slice raw);

/* How many of the bytes json_write() would write as a \uXXXX escape. */
size_t json_count_escapes(struct slice utf8);
