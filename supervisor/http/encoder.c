#include "http/encoder.h"

#include <assert.h>

/* For ZSTD_createCCtx_advanced(): allocation that does not fail. */
#define ZSTD_STATIC_LINKING_ONLY
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_LEVEL = 5,
    GZIP_WRAPPER = 16, /* to the window's bits: gzip, and not zlib's own format */
    GZIP_MEMORY = 8,   /* zlib's default */
    BR_QUALITY = 4,
    ZSTD_LEVEL = 3,
    WINDOW_BITS = 18,        /* of br and zstd */
    STREAM_WINDOW_BITS = 16, /* of what may go on for hours, for thousands of clients */
    STREAM_TABLE_BITS = 14,
    OUT_MIN = 4096, /* room that is made for what comes out */
};

struct encoder {
    enum coding coding;

    union {
        z_stream gzip;
        BrotliEncoderState *br;
        ZSTD_CCtx *zstd;
    };
};

/* ------------------------------------------------------------------ allocation */

static void *allocate(void *opaque, size_t size)
{
    (void)opaque;
    return xmalloc(size);
}

static void *allocate_items(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return xcalloc(count, size);
}

static void release(void *opaque, void *ptr)
{
    (void)opaque;
    xfree(ptr);
}

/* -------------------------------------------------------------------- begin, end */

/* The least window that holds all, so that little is as cheap as it looks. */
static int bits_for(size_t size, int min, int max)
{
    int bits = min;
    while (bits < max && ((size_t)1 << bits) < size)
        bits++;
    return bits;
}

static void begin_gzip(struct encoder *e, size_t size)
{
    enum { BITS_MIN = 9, MEMORY_MIN = 3 };

    int bits = bits_for(size, BITS_MIN, MAX_WBITS);
    int memory = MAX(GZIP_MEMORY - (MAX_WBITS - bits), MEMORY_MIN);
    e->gzip = (z_stream){.zalloc = allocate_items, .zfree = release};
    int code = deflateInit2(&e->gzip, GZIP_LEVEL, Z_DEFLATED, bits + GZIP_WRAPPER, memory,
                            Z_DEFAULT_STRATEGY);
    assert(code == Z_OK); /* the parameters are constants and the memory is there */
}

static void begin_br(struct encoder *e, size_t size)
{
    int most = size == SIZE_MAX ? STREAM_WINDOW_BITS : WINDOW_BITS;
    int bits = bits_for(size, BROTLI_MIN_WINDOW_BITS, most);
    e->br = BrotliEncoderCreateInstance(allocate, release, NULL);
    assert(e->br);
    BrotliEncoderSetParameter(e->br, BROTLI_PARAM_QUALITY, BR_QUALITY);
    BrotliEncoderSetParameter(e->br, BROTLI_PARAM_LGWIN, (uint32_t)bits);
    if (size < (size_t)1 << WINDOW_BITS) /* said of more, it takes larger tables */
        BrotliEncoderSetParameter(e->br, BROTLI_PARAM_SIZE_HINT, (uint32_t)size);
}

static void begin_zstd(struct encoder *e, size_t size)
{
    e->zstd = ZSTD_createCCtx_advanced(
        (ZSTD_customMem){.customAlloc = allocate, .customFree = release});
    assert(e->zstd);
    ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    if (size != SIZE_MAX) {
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_windowLog, WINDOW_BITS);
        ZSTD_CCtx_setPledgedSrcSize(e->zstd, size);
    } else {
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_windowLog, STREAM_WINDOW_BITS);
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_hashLog, STREAM_TABLE_BITS);
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_chainLog, STREAM_TABLE_BITS);
    }
}

struct encoder *encoder_new(enum coding coding, size_t size)
{
    struct encoder *e = xcalloc(1, sizeof(*e));
    e->coding = coding;
    switch (coding) {
    case CODING_GZIP:
        begin_gzip(e, size);
        break;
    case CODING_BR:
        begin_br(e, size);
        break;
    case CODING_ZSTD:
        begin_zstd(e, size);
        break;
    case CODING_IDENTITY:
    case CODING_COUNT:
        assert(!"a coding that is one");
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    if (e->coding == CODING_GZIP)
        deflateEnd(&e->gzip);
    else if (e->coding == CODING_BR)
        BrotliEncoderDestroyInstance(e->br);
    else
        ZSTD_freeCCtx(e->zstd);
    xfree(e);
}

/* ------------------------------------------------------------------------- write */

/* Room for what comes next; most of the time one piece of it is all. */
static char *room(struct buf *out, size_t in_bytes, size_t *size)
{
    char *at = buf_reserve(out, MAX((size_t)OUT_MIN, in_bytes / 2));
    *size = out->cap - out->len;
    return at;
}

static void write_gzip(struct encoder *e, struct slice in, enum encoder_step step,
                       struct buf *out)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = &e->gzip;
    do {
        uInt piece = (uInt)MIN(in.len, (size_t)1 << 30);
        z->next_in = (Bytef *)(uintptr_t)in.ptr; /* which it does not write to */
        z->avail_in = piece;
        in = in.len ? slice_from(in, piece) : in;
        do {
            size_t size;
            z->next_out = (Bytef *)room(out, z->avail_in, &size);
            z->avail_out = (uInt)MIN(size, (size_t)1 << 30);
            size_t offered = z->avail_out;
            IGNORE(deflate(z, flushes[in.len ? ENCODER_MORE : step])); /* no room is no error */
            out->len += offered - z->avail_out;
        } while (z->avail_out == 0);
    } while (in.len);
}

static void write_br(struct encoder *e, struct slice in, enum encoder_step step,
                     struct buf *out)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    const uint8_t *from = (const uint8_t *)in.ptr;
    do {
        size_t size;
        uint8_t *to = (uint8_t *)room(out, in.len, &size);
        size_t offered = size;
        BROTLI_BOOL good = BrotliEncoderCompressStream(e->br, operations[step], &in.len, &from,
                                                       &size, &to, NULL);
        assert(good); /* only misuse fails */
        out->len += offered - size;
    } while (in.len || BrotliEncoderHasMoreOutput(e->br));
}

static void write_zstd(struct encoder *e, struct slice in, enum encoder_step step,
                       struct buf *out)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer from = {.src = in.ptr, .size = in.len};
    size_t left;
    do {
        ZSTD_outBuffer to = {0};
        to.dst = room(out, from.size - from.pos, &to.size);
        left = ZSTD_compressStream2(e->zstd, &to, &from, directives[step]);
        assert(!ZSTD_isError(left)); /* a size that was announced is kept by the caller */
        out->len += to.pos;
    } while (step == ENCODER_MORE ? from.pos < from.size : left > 0);
}

void encoder_write(struct encoder *e, struct slice in, enum encoder_step step, struct buf *out)
{
    if (e->coding == CODING_GZIP)
        write_gzip(e, in, step, out);
    else if (e->coding == CODING_BR)
        write_br(e, in, step, out);
    else
        write_zstd(e, in, step, out);
}
