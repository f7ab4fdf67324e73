#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "loop/loop.h"

#include <cmocka.h>

enum { MANY = 200 };

/* A timer that notes when it fired. */
struct bell {
    struct timer timer;
    struct loop *loop;
    struct bell *other;
    unsigned rings;
    unsigned order;
    uint64_t rang_ms;
    uint64_t due_ms;
    bool runs; /* as it should be */
};

static unsigned rung; /* by all bells of a test */

static void on_ring(struct timer *timer)
{
    struct bell *b = container_of(timer, struct bell, timer);
    b->rings++;
    b->order = ++rung;
    b->rang_ms = loop_now(b->loop);
}

static void set_bell(struct loop *loop, struct bell *b, uint64_t delay_ms)
{
    b->loop = loop;
    timer_start(loop, &b->timer, delay_ms, on_ring);
}

static void open_loop(struct loop *loop)
{
    rung = 0;
    assert_int_equal(loop_init(loop), 0);
}

static void timers_fire_in_their_order(void **state)
{
    static const uint64_t delays[] = {30, 10, 20, 0, 25, 5, 15};
    static const unsigned order[] = {7, 3, 5, 1, 6, 2, 4};
    struct loop loop;
    struct bell bells[ARRAY_LEN(delays)] = {0};
    (void)state;
    open_loop(&loop);
    uint64_t begin = loop_now(&loop);
    for (size_t i = 0; i < ARRAY_LEN(delays); i++)
        set_bell(&loop, &bells[i], delays[i]);
    assert_true(timer_runs(&bells[3].timer));
    loop_run(&loop);
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        assert_int_equal(bells[i].rings, 1);
        assert_int_equal(bells[i].order, order[i]);
        assert_true(bells[i].rang_ms >= begin + delays[i]);
        assert_false(timer_runs(&bells[i].timer));
    }
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_timer_may_be_moved_both_ways(void **state)
{
    struct loop loop;
    struct bell later = {0}, middle = {0}, sooner = {0};
    (void)state;
    open_loop(&loop);
    set_bell(&loop, &later, 1);
    set_bell(&loop, &middle, 20);
    set_bell(&loop, &sooner, 60000);
    set_bell(&loop, &later, 30);
    assert_int_equal(loop.heap_len, 3); /* it has not been added twice */
    set_bell(&loop, &sooner, 10);
    loop_run(&loop);
    assert_int_equal(sooner.order, 1);
    assert_int_equal(middle.order, 2);
    assert_int_equal(later.order, 3);
    assert_int_equal(later.rings, 1);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_stopped_timer_does_not_fire(void **state)
{
    struct loop loop;
    struct bell first = {0}, second = {0}, never = {0};
    (void)state;
    open_loop(&loop);
    timer_stop(&loop, &never.timer); /* it does not run: nothing happens */
    set_bell(&loop, &first, 1);
    set_bell(&loop, &never, 2);
    set_bell(&loop, &second, 3);
    timer_stop(&loop, &never.timer);
    timer_stop(&loop, &never.timer);
    loop_run(&loop);
    assert_int_equal(first.rings + second.rings, 2);
    assert_int_equal(never.rings, 0);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void stopping_the_only_timer_lets_the_loop_end(void **state)
{
    struct loop loop;
    struct bell bell = {0};
    (void)state;
    open_loop(&loop);
    set_bell(&loop, &bell, 3600 * 1000);
    timer_stop(&loop, &bell.timer);
    loop_run(&loop);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* ------------------------------------------------------- from within a timer */

static void on_stop_other(struct timer *timer)
{
    struct bell *b = container_of(timer, struct bell, timer);
    on_ring(timer);
    timer_stop(b->loop, &b->other->timer);
}

static void a_timer_may_stop_one_that_is_due_too(void **state)
{
    struct loop loop;
    struct bell a = {0}, b = {0};
    (void)state;
    open_loop(&loop);
    a.loop = b.loop = &loop;
    a.other = &b;
    b.other = &a;
    timer_start(&loop, &a.timer, 5, on_stop_other);
    timer_start(&loop, &b.timer, 5, on_stop_other);
    loop_run(&loop);
    assert_int_equal(a.rings + b.rings, 1);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void on_again(struct timer *timer)
{
    struct bell *b = container_of(timer, struct bell, timer);
    on_ring(timer);
    if (b->rings < 5)
        timer_start(b->loop, timer, 1, on_again);
}

static void a_timer_may_start_itself_anew(void **state)
{
    struct loop loop;
    struct bell bell = {.loop = &loop};
    (void)state;
    open_loop(&loop);
    timer_start(&loop, &bell.timer, 1, on_again);
    loop_run(&loop);
    assert_int_equal(bell.rings, 5);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void on_at_once(struct timer *timer)
{
    struct bell *b = container_of(timer, struct bell, timer);
    b->rings++;
    if (!b->other->rings)
        timer_start(b->loop, timer, 0, on_at_once);
}

/* It would never leave the turn if what it starts were due in the same one. */
static void a_timer_without_delay_does_not_hold_up_the_others(void **state)
{
    struct loop loop;
    struct bell other = {0}, greedy = {.loop = &loop, .other = &other};
    (void)state;
    open_loop(&loop);
    timer_start(&loop, &greedy.timer, 0, on_at_once);
    set_bell(&loop, &other, 10);
    loop_run(&loop);
    assert_int_equal(other.rings, 1);
    assert_true(greedy.rings > 1);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void on_free(struct timer *timer)
{
    rung++;
    xfree(container_of(timer, struct bell, timer));
}

static void a_timer_may_free_what_it_lives_in(void **state)
{
    struct loop loop;
    (void)state;
    open_loop(&loop);
    for (int i = 0; i < 20; i++) {
        struct bell *b = xcalloc(1, sizeof(*b));
        timer_start(&loop, &b->timer, (uint64_t)i % 3, on_free);
    }
    loop_run(&loop);
    assert_int_equal(rung, 20);
    assert_int_equal(loop_deinit(&loop), 0);
}

static void a_delay_beyond_all_time_is_never(void **state)
{
    struct loop loop;
    struct bell never = {0}, soon = {0};
    (void)state;
    open_loop(&loop);
    set_bell(&loop, &never, UINT64_MAX);
    set_bell(&loop, &soon, 1);
    assert_int_equal(never.timer.due_ms, UINT64_MAX);
    while (!soon.rings)
        uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(never.rings, 0);
    timer_stop(&loop, &never.timer);
    assert_int_equal(loop_deinit(&loop), 0);
}

/* -------------------------------------------------------------- against a model */

/* Every place in the heap is where its timer believes it is, and none is before its parent. */
static void check_heap(const struct loop *loop)
{
    for (size_t i = 0; i < loop->heap_len; i++) {
        const struct timer *t = loop->heap[i];
        assert_int_equal(t->at, i + 1);
        assert_true(t->key_ms <= t->due_ms);
        assert_true(i == 0 || loop->heap[(i - 1) / 2]->key_ms <= t->key_ms);
    }
}

/* since_ms: the loop's time before the turn; within one it may go on after the timers had
 * theirs. */
static void check_bells(struct bell *bells, uint64_t since_ms)
{
    for (int i = 0; i < MANY; i++) {
        struct bell *b = &bells[i];
        if (b->rings) { /* not before its time, and only when it should run */
            assert_true(b->runs);
            assert_true(b->rang_ms >= b->due_ms);
            assert_int_equal(b->rings, 1);
            b->rings = 0;
            b->runs = false;
        } else if (b->runs) {
            assert_true(b->due_ms >= since_ms || !"it should have rung");
        }
        assert_int_equal(timer_runs(&b->timer), b->runs);
    }
}

static void random_use_agrees_with_a_model(void **state)
{
    struct loop *loop = xmalloc(sizeof(*loop));
    struct bell bells[MANY] = {0};
    unsigned seed = 1;
    (void)state;
    open_loop(loop);
    for (int turn = 0; turn < 1000; turn++) {
        for (int i = 0; i < 100; i++) {
            struct bell *b = &bells[rand_r(&seed) % MANY];
            b->runs = rand_r(&seed) % 4 != 0;
            if (b->runs) {
                uint64_t delay = (uint64_t)(rand_r(&seed) % 30);
                set_bell(loop, b, delay);
                b->due_ms = loop_now(loop) + delay;
            } else {
                timer_stop(loop, &b->timer);
            }
        }
        check_heap(loop);
        uint64_t since_ms = loop_now(loop);
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        check_heap(loop);
        check_bells(bells, since_ms);
    }
    for (int i = 0; i < MANY; i++)
        timer_stop(loop, &bells[i].timer);
    assert_int_equal(loop->heap_len, 0);
    assert_int_equal(loop_deinit(loop), 0);
    xfree(loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_their_order),
        cmocka_unit_test(a_timer_may_be_moved_both_ways),
        cmocka_unit_test(a_stopped_timer_does_not_fire),
        cmocka_unit_test(stopping_the_only_timer_lets_the_loop_end),
        cmocka_unit_test(a_timer_may_stop_one_that_is_due_too),
        cmocka_unit_test(a_timer_may_start_itself_anew),
        cmocka_unit_test(a_timer_without_delay_does_not_hold_up_the_others),
        cmocka_unit_test(a_timer_may_free_what_it_lives_in),
        cmocka_unit_test(a_delay_beyond_all_time_is_never),
        cmocka_unit_test(random_use_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
