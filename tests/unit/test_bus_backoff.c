#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/backoff.h"
#include "bus/bus_due.h"

#include <cmocka.h>

static const uint64_t steps[] = {1000, 5000, 30000};

static void each_failure_has_its_step_and_the_last_one_repeats(void **state)
{
    struct chance chance = chance_seeded(1);
    (void)state;
    for (uint32_t tries = 1; tries < 6; tries++) {
        uint64_t step = steps[tries < 3 ? tries - 1 : 2];
        uint64_t least = UINT64_MAX, most = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t ms = backoff_ms(steps, 3, tries, &chance);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_in_range(least, step * 90 / 100, step * 91 / 100);
        assert_in_range(most, step * 109 / 100, step * 110 / 100);
    }
}

static void without_steps_there_is_no_wait_and_huge_ones_do_not_overflow(void **state)
{
    struct chance chance = chance_seeded(2);
    const uint64_t huge[] = {UINT64_MAX / 2};
    (void)state;
    assert_int_equal(backoff_ms(NULL, 0, 3, &chance), 0);
    assert_int_equal(backoff_ms(steps, 3, 0, &chance), 0);
    for (int i = 0; i < 100; i++)
        assert_true(backoff_ms(huge, 1, 7, &chance) >= huge[0] / 10 * 9);
}

static void a_seed_repeats_its_chances(void **state)
{
    struct chance a = chance_seeded(7), b = chance_seeded(7), c = chance_seeded(8);
    (void)state;
    assert_int_equal(chance_next(&a), chance_next(&b));
    assert_int_equal(chance_next(&a), chance_next(&b));
    assert_int_not_equal(chance_next(&a), chance_next(&c));
}

enum { MANY = 3000 };

static void what_waits_comes_in_order_of_time(void **state)
{
    struct due_heap heap = {0};
    struct chance chance = chance_seeded(3);
    struct due *all = xcalloc(MANY, sizeof(*all));
    (void)state;
    assert_int_equal(due_first(&heap), UINT64_MAX);
    for (size_t i = 0; i < MANY; i++)
        due_add(&heap, &all[i], chance_next(&chance) % 1000);
    for (size_t i = 0; i < MANY; i += 3)
        due_remove(&heap, &all[i]);
    due_remove(&heap, &all[0]); /* it waits no more: nothing happens */
    uint64_t last = 0;
    size_t count = 0;
    for (uint64_t now = 0; now < 1000; now++)
        for (struct due *d; (d = due_next(&heap, now)); count++) {
            assert_true(d->at_ms >= last && d->at_ms == now);
            assert_true((size_t)(d - all) % 3 != 0);
            last = d->at_ms;
        }
    assert_int_equal(count, MANY - MANY / 3);
    assert_null(due_next(&heap, UINT64_MAX - 1));
    due_deinit(&heap);
    xfree(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_step_and_the_last_one_repeats),
        cmocka_unit_test(without_steps_there_is_no_wait_and_huge_ones_do_not_overflow),
        cmocka_unit_test(a_seed_repeats_its_chances),
        cmocka_unit_test(what_waits_comes_in_order_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
