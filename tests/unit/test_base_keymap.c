#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keymap.h"

#include <cmocka.h>

enum { MANY = 5000 };

static void an_empty_map_finds_nothing(void **state)
{
    struct keymap map = {0};
    (void)state;
    assert_null(keymap_find(&map, 7));
    assert_int_equal(keymap_bytes(&map), 0);
    keymap_deinit(&map);
}

static void what_was_added_is_found_until_removed(void **state)
{
    struct keymap map = {0};
    struct keymap_node *nodes = xcalloc(MANY, sizeof(*nodes));
    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        keymap_add(&map, &nodes[i], i * 64); /* many share low bits */
    assert_int_equal(map.count, MANY);
    for (uint64_t i = 0; i < MANY; i += 2)
        keymap_remove(&map, &nodes[i]);
    for (uint64_t i = 0; i < MANY; i++)
        assert_ptr_equal(keymap_find(&map, i * 64), i % 2 ? &nodes[i] : NULL);
    assert_null(keymap_find(&map, 63));
    assert_int_equal(map.count, MANY / 2);
    keymap_deinit(&map);
    xfree(nodes);
}

/* The caller walks over those of one hash, and removes some on the way. */
static void of_one_hash_the_newest_comes_first_whatever_the_size(void **state)
{
    struct keymap map = {0};
    struct keymap_node same[3];
    struct keymap_node *others = xcalloc(MANY, sizeof(*others));
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        keymap_add(&map, &same[i], 5);
    for (uint64_t i = 0; i < MANY; i++)
        keymap_add(&map, &others[i], 64 * i + 5 + 64);
    for (int turn = 0; turn < 2; turn++) {
        struct keymap_node *node = keymap_find(&map, 5);
        for (int i = 2; i >= 0; i--, node = keymap_next(node))
            assert_ptr_equal(node, &same[i]);
        assert_null(node);
        for (uint64_t i = 0; turn == 0 && i < MANY; i++)
            keymap_remove(&map, &others[i]);
    }
    keymap_deinit(&map);
    xfree(others);
}

static void memory_is_given_back(void **state)
{
    struct keymap map = {0};
    struct keymap_node *nodes = xcalloc(MANY, sizeof(*nodes));
    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        keymap_add(&map, &nodes[i], i);
    size_t most = keymap_bytes(&map);
    assert_true(most >= MANY * sizeof(void *));
    for (uint64_t i = 1; i < MANY; i++)
        keymap_remove(&map, &nodes[i]);
    assert_true(keymap_bytes(&map) < most / 16);
    assert_ptr_equal(keymap_find(&map, 0), &nodes[0]);
    keymap_deinit(&map);
    xfree(nodes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(what_was_added_is_found_until_removed),
        cmocka_unit_test(of_one_hash_the_newest_comes_first_whatever_the_size),
        cmocka_unit_test(memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
