#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idmap.h"

#include <cmocka.h>

/* A value that tells whose it is. */
static void *value_of(uint64_t id)
{
    return (void *)(uintptr_t)(id * 16 + 1);
}

static void an_empty_map_knows_nothing(void **state)
{
    struct idmap m = {0};
    (void)state;
    assert_null(idmap_get(&m, 1));
    assert_null(idmap_remove(&m, 1));
    assert_null(idmap_get(&m, 0));
    assert_null(idmap_remove(&m, 0));
    idmap_deinit(&m);
    idmap_deinit(&m);
}

static void an_id_is_known_until_it_is_removed(void **state)
{
    struct idmap m = {0};
    (void)state;
    idmap_put(&m, 7, value_of(7));
    assert_ptr_equal(idmap_get(&m, 7), value_of(7));
    assert_null(idmap_get(&m, 8));
    assert_null(idmap_get(&m, 0));
    assert_null(idmap_remove(&m, 0));
    assert_null(idmap_get(&m, 7 + 16)); /* the same place in the table */
    assert_null(idmap_remove(&m, 7 + 16));
    assert_int_equal(m.count, 1);
    assert_ptr_equal(idmap_remove(&m, 7), value_of(7));
    assert_null(idmap_get(&m, 7));
    assert_null(idmap_remove(&m, 7));
    assert_int_equal(m.count, 0);
    idmap_put(&m, UINT64_MAX, value_of(1));
    assert_ptr_equal(idmap_get(&m, UINT64_MAX), value_of(1));
    idmap_deinit(&m);
    assert_null(idmap_get(&m, UINT64_MAX));
}

static void growing_forgets_nobody(void **state)
{
    enum { IDS = 10000 };
    struct idmap m = {0};
    (void)state;
    for (uint64_t id = 1; id <= IDS; id++)
        idmap_put(&m, id * 3, value_of(id));
    assert_int_equal(m.count, IDS);
    assert_true(m.cap >= m.count * 2 && m.cap <= m.count * 4 + 16);
    for (uint64_t id = 1; id <= IDS; id++)
        assert_ptr_equal(idmap_get(&m, id * 3), value_of(id));
    idmap_deinit(&m);
}

static void ids_that_come_and_go_need_no_more_room(void **state)
{
    struct idmap m = {0};
    (void)state;
    for (uint64_t id = 1; id <= 100000; id++) {
        idmap_put(&m, id, value_of(id));
        if (id > 5)
            assert_ptr_equal(idmap_remove(&m, id - 5), value_of(id - 5));
    }
    assert_int_equal(m.count, 5);
    assert_int_equal(m.cap, 16);
    idmap_deinit(&m);
}

/* The first id from *from on that goes to this slot of sixteen; *from is then the next one. */
static uint64_t id_with_home(uint64_t home, uint64_t *from)
{
    while (*from * UINT64_C(0x9E3779B97F4A7C15) >> 60 != home)
        ++*from;
    return (*from)++;
}

/*
 * Every way to fill seven slots that want one of three places around the end of a
 * table of 16, so that the cluster wraps, and to take them out in another order.
 */
static void clusters_that_wrap_around_survive_every_removal(void **state)
{
    enum { IDS = 7, WAYS = 3 * 3 * 3 * 3 * 3 * 3 * 3 };

    static const uint64_t homes[] = {14, 15, 0};
    (void)state;
    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned first = 0; first < IDS; first++) {
            struct idmap m = {0};
            uint64_t ids[IDS], from = 1;
            unsigned digits = way;
            for (unsigned i = 0; i < IDS; i++, digits /= 3) {
                ids[i] = id_with_home(homes[digits % 3], &from);
                idmap_put(&m, ids[i], value_of(ids[i]));
            }
            assert_int_equal(m.cap, 16);
            for (unsigned gone = 0; gone < IDS; gone++) {
                unsigned who = (first + gone * 3) % IDS; /* 3 and 7 share no factor */
                assert_ptr_equal(idmap_remove(&m, ids[who]), value_of(ids[who]));
                for (unsigned i = 0; i < IDS; i++) {
                    bool left = true;
                    for (unsigned j = 0; j <= gone; j++)
                        left &= (first + j * 3) % IDS != i;
                    assert_ptr_equal(idmap_get(&m, ids[i]), left ? value_of(ids[i]) : NULL);
                }
            }
            assert_int_equal(m.count, 0);
            idmap_deinit(&m);
        }
    }
}

/* xorshift: the same operations in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The model is an array: what a map of small numbers would be if it were wide enough. */
static void random_operations_agree_with_a_model(void **state)
{
    enum { OPERATIONS = 100000, IDS = 4096 };

    static void *model[IDS];
    struct idmap m = {0};
    uint64_t seed = 88172645463325252;
    size_t count = 0;
    (void)state;
    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t n = next_random(&seed) % IDS;
        /* Many of them share their lower bits, and so their place. */
        uint64_t id = 1 + n % 64 + (n / 64 << 20);
        /* More puts than removals for a while, then the other way round. */
        bool put = next_random(&seed) % 100 < (i / 20000 % 2 ? 20 : 70);
        assert_ptr_equal(idmap_get(&m, id), model[n]);
        if (put && !model[n]) {
            model[n] = value_of(i + 1);
            idmap_put(&m, id, model[n]);
            count++;
        } else if (!put) {
            assert_ptr_equal(idmap_remove(&m, id), model[n]);
            count -= model[n] != NULL;
            model[n] = NULL;
        }
        assert_int_equal(m.count, count);
    }
    for (uint64_t n = 0; n < IDS; n++)
        assert_ptr_equal(idmap_get(&m, 1 + n % 64 + (n / 64 << 20)), model[n]);
    assert_true(count > 100);
    idmap_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_knows_nothing),
        cmocka_unit_test(an_id_is_known_until_it_is_removed),
        cmocka_unit_test(growing_forgets_nobody),
        cmocka_unit_test(ids_that_come_and_go_need_no_more_room),
        cmocka_unit_test(clusters_that_wrap_around_survive_every_removal),
        cmocka_unit_test(random_operations_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
