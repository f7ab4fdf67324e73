#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "http/encoder.h"

#include <cmocka.h>

/* What a client reads out of it so far; how much that is. */
static void decode_gzip(struct slice packed, struct buf *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.ptr, .avail_in = (uInt)packed.len};
    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    z.next_out = (Bytef *)buf_reserve(out, room);
    z.avail_out = (uInt)room;
    int code = inflate(&z, Z_SYNC_FLUSH);
    assert_true(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
    out->len += room - z.avail_out;
    inflateEnd(&z);
}

static void decode_zstd(struct slice packed, struct buf *out, size_t room)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    ZSTD_outBuffer to = {buf_reserve(out, room), room, 0};
    while (in.pos < in.size && to.pos < to.size)
        assert_false(ZSTD_isError(ZSTD_decompressStream(z, &to, &in)));
    out->len += to.pos;
    ZSTD_freeDStream(z);
}

static void assert_decodes(enum coding coding, struct slice packed, struct slice want)
{
    struct buf out = {0};
    if (coding == CODING_GZIP)
        decode_gzip(packed, &out, want.len + 64);
    else
        decode_zstd(packed, &out, want.len + 64);
    assert_int_equal(out.len, want.len);
    assert_true(slice_eq(buf_slice(&out), want));
    buf_deinit(&out);
}

/* Half text, half noise. */
static struct slice sample(struct buf *text, size_t len)
{
    buf_clear(text);
    uint32_t seed = 1;
    while (text->len < len) {
        seed = seed * 1664525 + 1013904223;
        if (seed & 0x8000)
            buf_adds(text, "{\"name\":\"value\"},");
        else
            buf_append(text, &seed, sizeof(seed));
    }
    text->len = len;
    return buf_slice(text);
}

static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};

static void what_goes_in_whole_comes_out_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 4096, 65535, 65536, 65537, 262145, 3000000};
    struct buf text = {0}, packed = {0};
    for (size_t c = 0; c < ARRAY_LEN(codings); c++)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            for (int known = 0; known < 2; known++) {
                struct slice all = sample(&text, sizes[i]);
                struct encoder *e = encoder_new(codings[c], known ? sizes[i] : SIZE_MAX);
                buf_clear(&packed);
                encoder_write(e, all, ENCODER_END, &packed);
                encoder_free(e);
                assert_decodes(codings[c], buf_slice(&packed), all);
                if (sizes[i] >= 4096)
                    assert_true(packed.len < all.len * 3 / 4);
            }
    buf_deinit(&text);
    buf_deinit(&packed);
}

/* It becomes longer, and so needs more room than was made at first. */
static void noise_comes_out_whole(void **state)
{
    (void)state;

    enum { SIZE = 500000 };
    struct buf noise = {0}, packed = {0};
    for (uint64_t seed = 1; noise.len < SIZE;) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        buf_append(&noise, (char *)&seed + 4, 4); /* the low bits repeat themselves */
    }
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct encoder *e = encoder_new(codings[c], SIZE_MAX);
        buf_clear(&packed);
        encoder_write(e, buf_slice(&noise), ENCODER_END, &packed);
        encoder_free(e);
        assert_true(packed.len > noise.len);
        assert_decodes(codings[c], buf_slice(&packed), buf_slice(&noise));
    }
    buf_deinit(&noise);
    buf_deinit(&packed);
}

static void what_was_flushed_can_be_read_at_once(void **state)
{
    (void)state;
    struct buf text = {0}, packed = {0};
    struct slice all = sample(&text, 300000);
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct encoder *e = encoder_new(codings[c], SIZE_MAX);
        size_t given = 0;
        buf_clear(&packed);
        for (size_t piece = 1; given + piece < all.len; piece *= 3) {
            encoder_write(e, (struct slice){all.ptr + given, piece}, ENCODER_FLUSH, &packed);
            given += piece;
            assert_decodes(codings[c], buf_slice(&packed), (struct slice){all.ptr, given});
        }
        encoder_write(e, slice_from(all, given), ENCODER_MORE, &packed);
        encoder_write(e, (struct slice){0}, ENCODER_END, &packed);
        assert_decodes(codings[c], buf_slice(&packed), all);
        encoder_free(e);
    }
    buf_deinit(&text);
    buf_deinit(&packed);
}

static void one_that_is_given_up_leaves_nothing_behind(void **state)
{
    (void)state;
    struct buf packed = {0};
    for (unsigned coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        encoder_free(encoder_new((enum coding)coding, SIZE_MAX));
        struct encoder *e = encoder_new((enum coding)coding, SIZE_MAX);
        encoder_write(e, SLICE("begun"), ENCODER_FLUSH, &packed);
        encoder_free(e);
    }
    encoder_free(NULL);
    buf_deinit(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_whole_comes_out_whole),
        cmocka_unit_test(noise_comes_out_whole),
        cmocka_unit_test(what_was_flushed_can_be_read_at_once),
        cmocka_unit_test(one_that_is_given_up_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
