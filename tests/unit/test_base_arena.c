#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#include <cmocka.h>

static void an_empty_arena_holds_no_memory(void **state)
{
    struct arena a = {0};
    (void)state;
    arena_reset(&a);
    assert_null(a.chunks);
    arena_deinit(&a);
    arena_deinit(&a);
}

static void every_piece_is_aligned_and_its_own(void **state)
{
    enum { PIECES = 2000 };
    struct arena a = {0};
    unsigned char *pieces[PIECES];
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i * 7 % 301;
        pieces[i] = arena_alloc(&a, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; at < i * 7 % 301; at++)
            assert_int_equal(pieces[i][at], i & 0xff);
    arena_deinit(&a);
}

static void a_piece_may_be_larger_than_a_chunk(void **state)
{
    static const size_t sizes[] = {2000, 2015, 2016, 2017, 2048, 4096, 100000, 10000000};
    struct arena a = {0};
    char *pieces[ARRAY_LEN(sizes)];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        pieces[i] = arena_alloc(&a, sizes[i]);
        memset(pieces[i], (int)('a' + i), sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(pieces[i][0], 'a' + i);
        assert_int_equal(pieces[i][sizes[i] - 1], 'a' + i);
    }
    arena_deinit(&a);
}

static void copies_do_not_depend_on_the_original(void **state)
{
    struct arena a = {0};
    char text[] = "a\0b";
    (void)state;
    char *string = arena_strdup(&a, (struct slice){text, 3});
    struct slice copy = arena_copy(&a, (struct slice){text, 3});
    memset(text, 'x', sizeof(text));
    assert_memory_equal(string, "a\0b", 4);
    assert_true(slice_eq(copy, SLICE("a\0b")));
    assert_int_equal(copy.ptr[3], '\0');
    assert_string_equal(arena_strdup(&a, (struct slice){NULL, 0}), "");
    assert_int_equal(arena_copy(&a, (struct slice){NULL, 0}).len, 0);
    arena_deinit(&a);
}

static void a_reset_keeps_a_chunk_and_uses_it_again(void **state)
{
    struct arena a = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(&a, 500), i, 500);
    arena_reset(&a);
    assert_non_null(a.chunks);
    struct arena_chunk *kept = a.chunks;
    memset(arena_alloc(&a, 500), 1, 500);
    memset(arena_alloc(&a, 500), 2, 500);
    assert_ptr_equal(a.chunks, kept);
    arena_reset(&a);
    assert_ptr_equal(a.chunks, kept);
    arena_deinit(&a);
    assert_null(a.chunks);
}

static void a_reset_does_not_hoard_a_large_chunk(void **state)
{
    struct arena a = {0};
    (void)state;
    memset(arena_alloc(&a, 1 << 20), 1, 1 << 20);
    arena_reset(&a);
    assert_null(a.chunks);
    arena_deinit(&a);
}

static void an_arena_moves_by_being_copied(void **state)
{
    struct arena a = {0};
    (void)state;
    char *text = arena_strdup(&a, SLICE("moves"));
    struct arena b = a;
    a = (struct arena){0};
    arena_deinit(&a);
    assert_string_equal(text, "moves");
    assert_string_equal(arena_strdup(&b, SLICE("grows")), "grows");
    arena_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_arena_holds_no_memory),
        cmocka_unit_test(every_piece_is_aligned_and_its_own),
        cmocka_unit_test(a_piece_may_be_larger_than_a_chunk),
        cmocka_unit_test(copies_do_not_depend_on_the_original),
        cmocka_unit_test(a_reset_keeps_a_chunk_and_uses_it_again),
        cmocka_unit_test(a_reset_does_not_hoard_a_large_chunk),
        cmocka_unit_test(an_arena_moves_by_being_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
