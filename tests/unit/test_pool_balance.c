#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/balance.h"

#include <cmocka.h>

static void the_smaller_share_is_less(void **state)
{
    static const struct {
        struct balance_load a, b;
        bool less;
    } cases[] = {
        {{0, 1}, {1, 1}, true},
        {{1, 1}, {0, 1}, false},
        {{1, 1}, {1, 1}, false}, /* neither: the first found stays */
        {{1, 4}, {1, 2}, true},
        {{2, 4}, {1, 2}, false},
        {{0, 1}, {0, 100}, false},
        {{99, 100}, {1, 1}, true},
        {{UINT32_MAX, 100000}, {UINT32_MAX - 1, 100000}, false}, /* no overflow */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (balance_less(&cases[i].a, &cases[i].b) != cases[i].less)
            fail_msg("case %zu", i);
}

static void what_waits_in_a_pipe_is_bounded_by_time_and_number(void **state)
{
    static const struct {
        double peak_us;
        uint64_t samples;
        unsigned declared, ahead;
    } cases[] = {
        {10, 100, 64, 64}, /* 640 us */
        {10, 100, 1000, 200}, {100, 100, 64, 20}, {1000, 100, 64, 2},
        {2000, 100, 64, 1},   {2001, 100, 64, 0}, /* one alone would wait too long */
        {1e9, 100, 64, 0},                        /* recently slow */
        {10, 100, 0, 0},                          /* wants none */
        {10, 3, 64, 0},                           /* not known yet */
        {10, 4, 64, 64},                          /* just known */
        {0, 100, 64, 64},                         /* faster than the clock */
        {0.001, 100, 64, 64},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pace pace = {
            .mean_us = 1, .peak_us = cases[i].peak_us, .samples = cases[i].samples};
        unsigned ahead = balance_prefetch(&pace, cases[i].declared);
        if (ahead != cases[i].ahead)
            fail_msg("case %zu: %u, not %u", i, ahead, cases[i].ahead);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smaller_share_is_less),
        cmocka_unit_test(what_waits_in_a_pipe_is_bounded_by_time_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
