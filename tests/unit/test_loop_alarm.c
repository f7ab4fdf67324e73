#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/alarm.h"

#include <cmocka.h>

#define MS UINT64_C(1000000)

struct clock {
    struct loop loop;
    struct alarm alarm;
    struct timer guard;
    unsigned fired;
    unsigned gone;
    unsigned wanted;
    uint64_t at_ns;   /* when it was to fire last */
    uint64_t step_ns; /* until the next */
    bool early;
};

static void on_fire(struct alarm *alarm)
{
    struct clock *clock = container_of(alarm, struct clock, alarm);
    clock->fired++;
    clock->early = clock->early || loop_clock_ns() < clock->at_ns;
    if (clock->fired == clock->wanted) {
        loop_stop(&clock->loop);
        return;
    }
    clock->at_ns += clock->step_ns;
    alarm_set(alarm, clock->at_ns);
}

static void on_gone(struct alarm *alarm)
{
    container_of(alarm, struct clock, alarm)->gone++;
}

static void on_guard(struct timer *timer)
{
    loop_stop(&container_of(timer, struct clock, guard)->loop);
}

static struct clock *clock_new(unsigned wanted, uint64_t step_ns)
{
    struct clock *clock = xcalloc(1, sizeof(*clock));
    clock->wanted = wanted;
    clock->step_ns = step_ns;
    assert_int_equal(loop_init(&clock->loop), 0);
    assert_int_equal(alarm_open(&clock->alarm, &clock->loop, on_fire, on_gone), 0);
    return clock;
}

static void run_for(struct clock *clock, uint64_t ms)
{
    timer_start(&clock->loop, &clock->guard, ms, on_guard);
    loop_run(&clock->loop);
    timer_stop(&clock->loop, &clock->guard);
}

static void clock_free(struct clock *clock)
{
    alarm_close(&clock->alarm);
    loop_run(&clock->loop);
    assert_int_equal(clock->gone, 1);
    assert_int_equal(loop_deinit(&clock->loop), 0);
    xfree(clock);
}

/* A timer of milliseconds could fire 20 times in that time, and not 200. */
static void moments_between_the_milliseconds_are_kept(void **state)
{
    struct clock *clock = clock_new(200, MS / 10);
    uint64_t start = loop_clock_ns();
    (void)state;
    clock->at_ns = start + clock->step_ns;
    alarm_set(&clock->alarm, clock->at_ns);
    run_for(clock, 10000);
    assert_int_equal(clock->fired, 200);
    assert_false(clock->early);
    assert_true(loop_clock_ns() - start >= 20 * MS);
    clock_free(clock);
}

static void the_last_moment_that_was_set_counts(void **state)
{
    struct clock *clock = clock_new(1, 0);
    (void)state;
    alarm_set(&clock->alarm, loop_clock_ns() + MS);
    clock->at_ns = loop_clock_ns() + 30 * MS;
    alarm_set(&clock->alarm, clock->at_ns);
    run_for(clock, 10000);
    assert_int_equal(clock->fired, 1);
    assert_false(clock->early);
    clock_free(clock);
}

static void a_moment_that_has_passed_is_now(void **state)
{
    struct clock *clock = clock_new(1, 0);
    (void)state;
    alarm_set(&clock->alarm, 0);
    run_for(clock, 10000);
    assert_int_equal(clock->fired, 1);
    clock_free(clock);
}

static void it_fires_once(void **state)
{
    struct clock *clock = clock_new(2, 10000 * MS);
    (void)state;
    clock->at_ns = loop_clock_ns() + MS;
    alarm_set(&clock->alarm, clock->at_ns);
    run_for(clock, 50);
    assert_int_equal(clock->fired, 1);
    clock_free(clock);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_between_the_milliseconds_are_kept),
        cmocka_unit_test(the_last_moment_that_was_set_counts),
        cmocka_unit_test(a_moment_that_has_passed_is_now),
        cmocka_unit_test(it_fires_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
