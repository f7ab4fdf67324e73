#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#include <cmocka.h>

static void assert_holds(const struct buf *b, const char *text)
{
    assert_int_equal(b->len, strlen(text));
    assert_memory_equal(b->ptr, text, b->len);
}

static void an_empty_buf_holds_no_memory(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_append(&b, NULL, 0);
    buf_consume(&b, 0);
    buf_clear(&b);
    assert_null(b.ptr);
    assert_int_equal(b.cap, 0);
    buf_deinit(&b);
    buf_deinit(&b);
}

static void what_is_added_stands_in_order(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_append(&b, "a\0b", 3);
    buf_addc(&b, 'c');
    buf_adds(&b, "def");
    buf_add(&b, SLICE("gh"));
    buf_add(&b, (struct slice){NULL, 0});
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.ptr, "a\0bcdefgh", 9);
    assert_true(slice_eq(buf_slice(&b), SLICE("a\0bcdefgh")));
    buf_deinit(&b);
    assert_int_equal(b.len, 0);
    buf_adds(&b, "again");
    assert_holds(&b, "again");
    buf_deinit(&b);
}

static void formatted_text_of_any_length_fits(void **state)
{
    static const int widths[] = {0, 1, 62, 63, 64, 65, 127, 128, 1000, 70000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        struct buf b = {0};
        buf_addc(&b, '<');
        buf_addf(&b, "%*s|%d", widths[i], "", 42);
        buf_addc(&b, '>');
        assert_int_equal(b.len, (size_t)widths[i] + 5);
        assert_memory_equal(b.ptr + b.len - 4, "|42>", 4);
        for (int at = 0; at < widths[i]; at++)
            assert_int_equal(b.ptr[1 + at], ' ');
        buf_deinit(&b);
    }
}

static void numbers_are_written_in_decimal(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {
        {0, "0"},
        {7, "7"},
        {10, "10"},
        {1234567890, "1234567890"},
        {UINT64_MAX, "18446744073709551615"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        buf_addu(&b, cases[i].n);
        assert_holds(&b, cases[i].text);
        buf_deinit(&b);
    }
}

static void reserved_room_is_there_and_keeps_the_length(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_adds(&b, "ab");
    for (size_t extra = 1; extra < 100000; extra *= 3) {
        char *room = buf_reserve(&b, extra);
        assert_ptr_equal(room, b.ptr + 2);
        assert_true(b.cap - b.len >= extra);
        assert_holds(&b, "ab");
        memset(room, 'x', extra);
    }
    buf_deinit(&b);
}

static void many_small_additions_copy_little(void **state)
{
    struct buf b = {0};
    size_t grown = 0, cap = 0;
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        buf_addc(&b, (char)i);
        grown += b.cap != cap;
        cap = b.cap;
    }
    for (int i = 0; i < 1000000; i++)
        assert_true(b.ptr[i] == (char)i);
    assert_true(grown < 20);
    buf_deinit(&b);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_adds(&b, "hello, world");
    buf_consume(&b, 7);
    assert_holds(&b, "world");
    buf_consume(&b, 0);
    assert_holds(&b, "world");
    buf_adds(&b, "!");
    buf_consume(&b, 6);
    assert_int_equal(b.len, 0);
    assert_true(b.cap > 0);
    buf_adds(&b, "more");
    assert_holds(&b, "more");
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

static void a_c_string_ends_where_the_bytes_end(void **state)
{
    struct buf b = {0};
    (void)state;
    assert_string_equal(buf_cstr(&b), "");
    for (size_t len = 1; len < 300; len++) {
        buf_addc(&b, 'x');
        assert_int_equal(strlen(buf_cstr(&b)), len);
        assert_int_equal(b.len, len);
    }
    buf_deinit(&b);
}

static void memory_that_was_given_up_is_the_callers(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_adds(&b, "text");
    char *text = buf_give(&b);
    assert_string_equal(text, "text");
    assert_null(b.ptr);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
    xfree(text);
    text = buf_give(&b);
    assert_string_equal(text, "");
    xfree(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buf_holds_no_memory),
        cmocka_unit_test(what_is_added_stands_in_order),
        cmocka_unit_test(formatted_text_of_any_length_fits),
        cmocka_unit_test(numbers_are_written_in_decimal),
        cmocka_unit_test(reserved_room_is_there_and_keeps_the_length),
        cmocka_unit_test(many_small_additions_copy_little),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),
        cmocka_unit_test(a_c_string_ends_where_the_bytes_end),
        cmocka_unit_test(memory_that_was_given_up_is_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
