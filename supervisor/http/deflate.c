#include "http/deflate.h"

#define ZLIB_CONST
#include <assert.h>
#include <zlib.h>

enum {
    MEMORY_LEVEL = 8,
    STEP = 16384,      /* bytes of room for what comes out, at a time */
    AT_BOUNDARY = 128, /* in z_stream.data_type: a block has just ended */
};

/* Each packed message ends in these, which are not sent (RFC 7692, 7.2.1). */
static const struct slice tail = {"\x00\x00\xff\xff", 4};

struct packer {
    z_stream z;
    unsigned bits; /* 0 = z is not initialised */
};

struct unpacker {
    z_stream z;
    bool ended; /* at the end of a block that said to be the last one */
};

static void *zlib_alloc(void *owner, unsigned count, unsigned size)
{
    (void)owner;
    return xcalloc(count, size);
}

static void zlib_free(void *owner, void *memory)
{
    (void)owner;
    xfree(memory);
}

static void set_input(z_stream *z, struct slice bytes)
{
    z->next_in = (const unsigned char *)bytes.ptr;
    z->avail_in = (unsigned)bytes.len;
}

/* --------------------------------------------------------------------- pack */

struct packer *packer_new(void)
{
    return xcalloc(1, sizeof(struct packer));
}

void packer_free(struct packer *p)
{
    if (p && p->bits)
        deflateEnd(&p->z);
    xfree(p);
}

/* With a window of this size.  Most clients leave the choice to us: it rarely changes. */
static bool prepare(struct packer *p, unsigned bits)
{
    if (p->bits == bits)
        return deflateReset(&p->z) == Z_OK;
    if (p->bits)
        deflateEnd(&p->z);
    p->z = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free};
    p->bits = 0;
    if (deflateInit2(&p->z, Z_BEST_SPEED, Z_DEFLATED, -(int)bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    p->bits = bits;
    return true;
}

bool packer_pack(struct packer *p, unsigned bits, struct slice message, struct buf *out)
{
    if (!prepare(p, bits))
        return false;
    size_t room = message.len + tail.len; /* what does not fit is not worth it */
    set_input(&p->z, message);
    p->z.next_out = (unsigned char *)buf_reserve(out, room);
    p->z.avail_out = (unsigned)room;
    int status = deflate(&p->z, Z_SYNC_FLUSH);
    if (status != Z_OK || p->z.avail_in || !p->z.avail_out)
        return false;
    out->len += room - p->z.avail_out - tail.len;
    return true;
}

/* ------------------------------------------------------------------- unpack */

struct unpacker *unpacker_new(void)
{
    struct unpacker *u = xcalloc(1, sizeof(*u));
    u->z.zalloc = zlib_alloc;
    u->z.zfree = zlib_free;
    int status = inflateInit2(&u->z, -PACK_BITS_MAX);
    assert(status == Z_OK); /* memory is there, and the parameters are right */
    return u;
}

void unpacker_free(struct unpacker *u)
{
    if (u)
        inflateEnd(&u->z);
    xfree(u);
}

/* One step: as much as there is room for. */
static enum unpack_verdict step(struct unpacker *u, size_t max, struct buf *out)
{
    size_t room = MIN((size_t)STEP, max - out->len + 1); /* one more would be too much */
    u->z.next_out = (unsigned char *)buf_reserve(out, room);
    u->z.avail_out = (unsigned)room;
    int status = inflate(&u->z, Z_SYNC_FLUSH);
    out->len += room - u->z.avail_out;
    if (out->len > max)
        return UNPACK_TOO_BIG;
    u->ended = status == Z_STREAM_END;
    if (u->ended) /* a message may go on behind it */
        return inflateReset(&u->z) == Z_OK ? UNPACK_OK : UNPACK_BAD;
    bool starved = status == Z_BUF_ERROR && !u->z.avail_in;
    return status == Z_OK || starved ? UNPACK_OK : UNPACK_BAD;
}

enum unpack_verdict unpacker_add(struct unpacker *u, struct slice piece, size_t max,
                                 struct buf *out)
{
    enum unpack_verdict verdict = UNPACK_OK;
    bool filled = false;
    set_input(&u->z, piece);
    /* A step that filled its room may have more to say without further input. */
    while (verdict == UNPACK_OK && (u->z.avail_in || filled)) {
        verdict = step(u, max, out);
        filled = !u->z.avail_out && !u->ended;
    }
    return verdict;
}

enum unpack_verdict unpacker_end(struct unpacker *u, size_t max, struct buf *out)
{
    if (u->ended) /* and all that was due has come */
        return UNPACK_OK;
    enum unpack_verdict verdict = unpacker_add(u, tail, max, out);
    if (verdict == UNPACK_OK && !u->ended && !(u->z.data_type & AT_BOUNDARY))
        return UNPACK_BAD; /* cut off in a block: the tail was taken for a part of it */
    return verdict;
}
