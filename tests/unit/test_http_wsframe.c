#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/wsframe.h"

#include <cmocka.h>

static void every_length_has_its_own_head(void **state)
{
    static const struct {
        size_t length;
        size_t size;
        const char *bytes;
    } cases[] = {
        {0, 2, "\x81\x00"},
        {5, 2, "\x81\x05"},
        {125, 2, "\x81\x7D"},
        {126, 4, "\x81\x7E\x00\x7E"},
        {127, 4, "\x81\x7E\x00\x7F"},
        {0xFFFF, 4, "\x81\x7E\xFF\xFF"},
        {0x10000, 10, "\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"},
        {0x123456789A, 10, "\x81\x7F\x00\x00\x00\x12\x34\x56\x78\x9A"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[WS_HEAD_MAX];
        size_t size = ws_head_write(out, WS_TEXT, false, cases[i].length);
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(out, cases[i].bytes, size);

        /* Masked it is what a client would send. */
        struct ws_head head;
        const char *why;
        char masked[WS_HEAD_MAX];
        memcpy(masked, out, size);
        masked[1] = (char)(masked[1] | 0x80);
        memcpy(masked + size, "\x01\x02\x03\x04", 4);
        for (size_t len = 0; len < size + 4; len++)
            assert_int_equal(ws_head_read((struct slice){masked, len}, &head, &why), 0);
        assert_int_equal(ws_head_read((struct slice){masked, size + 4}, &head, &why), size + 4);
        assert_true(head.length == cases[i].length && head.fin && !head.packed);
        assert_int_equal(head.opcode, WS_TEXT);
        assert_memory_equal(head.mask, "\x01\x02\x03\x04", 4);
    }
}

static void what_no_client_may_send_is_told_as_soon_as_it_shows(void **state)
{
    static const struct {
        struct slice bytes;
        const char *why;
    } cases[] = {
        {{"\x81\x05", 2}, "not masked"},
        {{"\x91\x80", 2}, "reserved bit"},
        {{"\xA1\x80", 2}, "reserved bit"},
        {{"\x83\x80", 2}, "opcode"},
        {{"\x87\x80", 2}, "opcode"},
        {{"\x8B\x80", 2}, "opcode"},
        {{"\x8F\x80", 2}, "opcode"},
        {{"\x09\x80", 2}, "fragmented"},
        {{"\x08\x80", 2}, "fragmented"},
        {{"\x89\xFE", 2}, "125"},
        {{"\x88\xFF", 2}, "125"},
        {{"\x81\xFE\x00\x7D", 4}, "more bytes than it needs"},
        {{"\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF", 10}, "more bytes than it needs"},
        {{"\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x00", 10}, "longer than can be"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ws_head head;
        const char *why = NULL;
        struct slice bytes = cases[i].bytes;
        assert_int_equal(ws_head_read((struct slice){bytes.ptr, bytes.len - 1}, &head, &why),
                         0);
        assert_int_equal(ws_head_read(bytes, &head, &why), -1);
        assert_non_null(strstr(why, cases[i].why));
    }
}

/* In every place and length, against one byte after the other. */
static void a_mask_is_taken_off_wherever_a_piece_begins(void **state)
{
    static const unsigned char mask[4] = {0x37, 0xFA, 0x21, 0x3D};
    char masked[64], plain[64];
    (void)state;
    for (size_t i = 0; i < sizeof(masked); i++)
        masked[i] = (char)(i * 7);
    for (size_t at = 0; at < 9; at++)
        for (size_t len = 0; len <= 50; len++) {
            memset(plain, 'x', sizeof(plain));
            ws_unmask(plain, masked + at, len, mask, at);
            for (size_t i = 0; i < len; i++)
                assert_int_equal((unsigned char)plain[i],
                                 (unsigned char)masked[at + i] ^ mask[(at + i) % 4]);
            assert_int_equal(plain[len], 'x');
        }
}

static void only_some_codes_may_be_sent(void **state)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 9999, 65535};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(ws_code_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(ws_code_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_has_its_own_head),
        cmocka_unit_test(what_no_client_may_send_is_told_as_soon_as_it_shows),
        cmocka_unit_test(a_mask_is_taken_off_wherever_a_piece_begins),
        cmocka_unit_test(only_some_codes_may_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
