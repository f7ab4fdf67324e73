/*
 * field: the header fields that HTTP itself acts on, and what a field is made of.
 * Pure.
 */
#pragma once

#include "base/slice.h"

enum field_id {
    FIELD_OTHER,

    /* Between two neighbours only: never handed on (RFC 9110, 7.6.1). */
    FIELD_CONNECTION,
    FIELD_KEEP_ALIVE,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_NAMED, /* any other that a Connection field names: set by the reader of the head */

    /* What a proxy says of its client: believed only when the proxy is trusted. */
    FIELD_FORWARDED,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_FORWARDED_OTHER,
    FIELD_X_REAL_IP,
    FIELD_X_REQUEST_ID,

    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_HOST,
};

/* In any case. */
enum field_id field_lookup(struct slice name);

static inline bool field_is_hop(enum field_id id)
{
    return id >= FIELD_CONNECTION && id <= FIELD_NAMED;
}

static inline bool field_is_forwarding(enum field_id id)
{
    return id >= FIELD_FORWARDED && id <= FIELD_X_REQUEST_ID;
}

/* A token (RFC 9110, 5.6.2): at least one character, none of them a delimiter. */
bool token_valid(struct slice);

/* Octets that a field value may hold when it arrives: no control character but HTAB. */
bool value_valid(struct slice);

/* Takes the next item off a comma-separated list, trimmed; empty items are skipped. */
bool list_take(struct slice *rest, struct slice *item);
