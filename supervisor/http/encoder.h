/*
 * encoder: gzip, br and zstd, piece by piece.
 *
 * Memory is bounded whatever is compressed: windows are 32 KiB for gzip and 256 KiB for the
 * others, less for what is known to be short; measured: 0.26 MiB for gzip, 1.7 for br and 0.6
 * for zstd.  Levels are those of a server that has other things to do: gzip 5, br 4, zstd 3.
 */
#pragma once

#include "base/buf.h"
#include "http/negotiate.h"

struct encoder;

enum {
    /* What one turn of the loop may compress: 0.5 to 4 ms of work, by coding and content. */
    ENCODER_TURN = 128 * 1024,
};

enum encoder_step {
    ENCODER_MORE,  /* may keep what it was given until more comes */
    ENCODER_FLUSH, /* all that was given can be read at the other end */
    ENCODER_END,   /* nothing follows */
};

/* size: of all that will come, SIZE_MAX = not known.  Not for CODING_IDENTITY. */
struct encoder *encoder_new(enum coding, size_t size);

/* Takes NULL. */
void encoder_free(struct encoder *);

/* Appends what comes of these bytes, which may be none.  After ENCODER_END only free it. */
void encoder_write(struct encoder *, struct slice, enum encoder_step, struct buf *out);
