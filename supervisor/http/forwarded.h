/*
 * forwarded: whose word is taken for who the client is.  Pure.
 *
 * A proxy adds the address it was reached from at the right end of X-Forwarded-For.
 * Walking from the right, everything up to the first address that is no trusted
 * proxy was written by somebody trusted; that address is the client, and all that
 * stands further left is only what it claims.
 */
#pragma once

#include "base/slice.h"

/* An IPv6 address; IPv4 ones are mapped (::ffff:a.b.c.d). */
struct ip {
    unsigned char bytes[16];
};

struct ip_block {
    struct ip ip;
    unsigned bits;
};

struct trust {
    struct ip_block *blocks;
    size_t count;
    bool unix_peers; /* "unix" was in the list: peers of a unix socket */
};

/* "10.0.0.1", "::1"; no port, no brackets, no zone. */
bool ip_parse(struct slice text, struct ip *);

/* "10.0.0.0/8", "fd00::/8", or one address. */
bool ip_block_parse(struct slice text, struct ip_block *);

/*
 * list: addresses, blocks and the word "unix"; NULL-terminated, may be NULL.  An
 * item that is none of these trusts nobody.
 */
void trust_init(struct trust *, const char *const *list);
void trust_deinit(struct trust *);

bool trust_has(const struct trust *, const struct ip *);

/* "::ffff:10.0.0.1", which a dual-stack socket reports, is "10.0.0.1" to everybody. */
struct slice ip_plain(struct slice text);

/*
 * The client's address according to the values of X-Forwarded-For, in the order they
 * came.  `peer` (trusted) when they say nothing.  Borrows from both.
 */
struct slice forwarded_client(const struct trust *, struct slice peer,
                              const struct slice *values, size_t count);
