#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/deflate.h"

#include <cmocka.h>

/* Text that packs well, and no byte of which is like the one before. */
static struct slice make_text(struct buf *text, size_t len)
{
    buf_clear(text);
    for (unsigned i = 0; text->len < len; i++)
        buf_addf(text, "{\"row\":%u,\"name\":\"number %u\"},", i, i * 7919 % 1000);
    text->len = len;
    return buf_slice(text);
}

static struct slice make_noise(struct buf *noise, size_t len)
{
    uint32_t seed = 1;
    buf_clear(noise);
    buf_reserve(noise, len);
    for (; noise->len < len; noise->len++) {
        seed = seed * 1664525 + 1013904223;
        noise->ptr[noise->len] = (char)(seed >> 24);
    }
    return buf_slice(noise);
}

static enum unpack_verdict unpack(struct slice packed, size_t step, size_t max, struct buf *out)
{
    struct unpacker *u = unpacker_new();
    enum unpack_verdict verdict = UNPACK_OK;
    for (size_t at = 0; at < packed.len && verdict == UNPACK_OK; at += step)
        verdict = unpacker_add(u, (struct slice){packed.ptr + at, MIN(step, packed.len - at)},
                               max, out);
    if (verdict == UNPACK_OK)
        verdict = unpacker_end(u, max, out);
    unpacker_free(u);
    return verdict;
}

static void what_is_packed_can_be_unpacked(void **state)
{
    static const size_t sizes[] = {256, 1000, 16383, 16384, 16385, 65536, 300000};
    static const size_t steps[] = {1, 7, 4096, 1 << 20};
    struct packer *packer = packer_new();
    struct buf text = {0}, packed = {0}, back = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (unsigned bits = PACK_BITS_MIN; bits <= PACK_BITS_MAX; bits++) {
            make_text(&text, sizes[i]);
            buf_clear(&packed);
            assert_true(packer_pack(packer, bits, buf_slice(&text), &packed));
            assert_true(packed.len < text.len);
            for (size_t n = 0; n < ARRAY_LEN(steps); n++) {
                buf_clear(&back);
                assert_int_equal(unpack(buf_slice(&packed), steps[n], text.len, &back),
                                 UNPACK_OK);
                assert_int_equal(back.len, text.len);
                assert_memory_equal(back.ptr, text.ptr, text.len);
            }
        }
    packer_free(packer);
    buf_deinit(&text);
    buf_deinit(&packed);
    buf_deinit(&back);
}

/* Nothing of one is in the next, whoever it is for. */
static void each_message_is_packed_for_itself(void **state)
{
    struct packer *packer = packer_new();
    struct buf text = {0}, first = {0}, second = {0};
    (void)state;
    make_text(&text, 2000);
    assert_true(packer_pack(packer, 15, buf_slice(&text), &first));
    assert_true(packer_pack(packer, 15, buf_slice(&text), &second));
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.ptr, second.ptr, first.len);
    packer_free(packer);
    buf_deinit(&text);
    buf_deinit(&first);
    buf_deinit(&second);
}

static void what_does_not_pack_is_left_as_it_is(void **state)
{
    struct packer *packer = packer_new();
    struct buf noise = {0}, text = {0}, packed = {0};
    (void)state;
    buf_adds(&packed, "before");
    assert_false(packer_pack(packer, 15, make_noise(&noise, 5000), &packed));
    assert_int_equal(packed.len, 6);
    assert_true(packer_pack(packer, 15, make_text(&text, 5000), &packed));
    assert_memory_equal(packed.ptr, "before", 6);
    packer_free(packer);
    buf_deinit(&noise);
    buf_deinit(&text);
    buf_deinit(&packed);
}

static void the_limit_is_exact(void **state)
{
    struct packer *packer = packer_new();
    struct buf text = {0}, packed = {0}, back = {0};
    (void)state;
    make_text(&text, 50000);
    assert_true(packer_pack(packer, 15, buf_slice(&text), &packed));
    assert_int_equal(unpack(buf_slice(&packed), 512, 50000, &back), UNPACK_OK);
    buf_clear(&back);
    assert_int_equal(unpack(buf_slice(&packed), 512, 49999, &back), UNPACK_TOO_BIG);
    assert_true(back.len <= 50000);
    packer_free(packer);
    buf_deinit(&text);
    buf_deinit(&packed);
    buf_deinit(&back);
}

/* With a window of 512 bytes nothing may refer to what lies farther back. */
static void a_small_window_is_kept_to(void **state)
{
    struct packer *packer = packer_new();
    struct buf text = {0}, small = {0}, large = {0};
    (void)state;
    make_noise(&text, 2000);
    struct buf twice = {0};
    buf_add(&twice, buf_slice(&text));
    buf_add(&twice, buf_slice(&text));
    assert_true(packer_pack(packer, 15, buf_slice(&twice), &large));
    assert_true(large.len < 2200);
    assert_false(packer_pack(packer, 9, buf_slice(&twice), &small));
    packer_free(packer);
    buf_deinit(&text);
    buf_deinit(&twice);
    buf_deinit(&small);
    buf_deinit(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_can_be_unpacked),
        cmocka_unit_test(each_message_is_packed_for_itself),
        cmocka_unit_test(what_does_not_pack_is_left_as_it_is),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(a_small_window_is_kept_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
