/*
 * deflate: the messages of WebSockets, packed (permessage-deflate, RFC 7692).
 *
 * Neither side takes its context over from one message to the next, which nodey asks of
 * every client that would compress.  So one packer serves all connections, an unpacker is
 * needed only while a packed message is coming in, and an idle connection holds nothing:
 * with context taken over it would be 300 KB each, which thousands of connections would
 * pay for messages that are a little smaller.  It also keeps one message from showing in
 * the length of another.
 */
#pragma once

#include "base/buf.h"

struct packer;
struct unpacker;

enum {
    PACK_MIN = 256,     /* bytes: packing less gains nothing, */
    PACK_MAX = 1 << 20, /* and more would keep everybody else waiting */
    PACK_BITS_MIN = 9,  /* logarithm of the window; zlib has no smaller one */
    PACK_BITS_MAX = 15,
};

/* Takes its memory with the first message. */
struct packer *packer_new(void);
void packer_free(struct packer *);

/*
 * Appends the message packed.  False, and nothing appended, when that is no shorter.
 * bits: PACK_BITS_MIN..PACK_BITS_MAX.
 */
bool packer_pack(struct packer *, unsigned bits, struct slice message, struct buf *out);

enum unpack_verdict { UNPACK_OK, UNPACK_BAD, UNPACK_TOO_BIG };

/* For one message.  Never NULL. */
struct unpacker *unpacker_new(void);
void unpacker_free(struct unpacker *);

/* Appends what the piece unpacks to; `out` never grows beyond max bytes and a little. */
enum unpack_verdict unpacker_add(struct unpacker *, struct slice piece, size_t max,
                                 struct buf *out);

/* The message has no more pieces. */
enum unpack_verdict unpacker_end(struct unpacker *, size_t max, struct buf *out);
