#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "loop/offload.h"

#include <cmocka.h>

enum { LETTERS = 20000 };

struct letter {
    struct list node;
    unsigned number;
    unsigned runs;
};

struct office {
    struct offload offload;
    struct loop loop;
    struct letter *letters;
    unsigned wanted, posted, run, back, batches, idle_runs, closed;
    bool on_loop_thread; /* something ran where it must not */
    pthread_t loop_thread;
    uint64_t wake_at;  /* what run() returns */
    uint64_t woken_ms; /* when it was called without letters */
    struct list kept;  /* letters that run() keeps for later */
    bool keeps;
};

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t run(struct offload *o, struct list *letters)
{
    struct office *office = container_of(o, struct office, offload);
    office->on_loop_thread |= pthread_equal(pthread_self(), office->loop_thread) != 0;
    if (list_empty(letters)) {
        office->idle_runs++;
        office->woken_ms = wall_ms();
        while (!list_empty(&office->kept)) {
            struct list *node = office->kept.next;
            list_del(node);
            offload_reply(o, node);
        }
        return UINT64_MAX;
    }
    office->batches++;
    while (!list_empty(letters)) {
        struct letter *letter = list_first(letters, struct letter, node);
        list_del(&letter->node);
        assert_int_equal(letter->number, office->run++);
        letter->runs++;
        if (office->keeps)
            list_add(&office->kept, &letter->node);
        else
            offload_reply(o, &letter->node);
    }
    return office->wake_at;
}

static void post(struct office *office)
{
    struct letter *letter = &office->letters[office->posted];
    letter->number = office->posted++;
    offload_post(&office->offload, &letter->node);
}

/* Half of the letters are posted at once, the others as their elders come back. */
static void back(struct offload *o, struct list *letters)
{
    struct office *office = container_of(o, struct office, offload);
    assert_true(pthread_equal(pthread_self(), office->loop_thread));
    while (!list_empty(letters)) {
        struct letter *letter = list_first(letters, struct letter, node);
        list_del(&letter->node);
        assert_int_equal(letter->number, office->back++);
        if (office->posted < office->wanted)
            post(office);
    }
    if (office->back == office->posted && !office->offload.closing)
        offload_close(o);
}

static void closed(struct offload *o)
{
    struct office *office = container_of(o, struct office, offload);
    assert_int_equal(office->back, office->posted);
    office->closed++;
}

static const struct offload_ops OPS = {run, back, closed};

static void open_office(struct office *office)
{
    office->loop_thread = pthread_self();
    office->letters = xcalloc(LETTERS, sizeof(*office->letters));
    list_init(&office->kept);
    assert_int_equal(loop_init(&office->loop), 0);
    assert_int_equal(offload_open(&office->offload, &office->loop, &OPS), 0);
}

static void end_office(struct office *office)
{
    loop_run(&office->loop);
    assert_int_equal(office->closed, 1);
    assert_int_equal(office->run, office->posted);
    assert_int_equal(office->back, office->posted);
    assert_false(office->on_loop_thread);
    assert_int_equal(loop_deinit(&office->loop), 0);
    xfree(office->letters);
}

static void every_letter_comes_back_once_and_in_order(void **state)
{
    struct office office = {.wanted = LETTERS, .wake_at = UINT64_MAX};
    (void)state;
    open_office(&office);
    for (unsigned i = 0; i < LETTERS / 2; i++)
        post(&office);
    end_office(&office);
    assert_int_equal(office.posted, LETTERS);
    assert_true(office.batches < LETTERS); /* what waits is taken together */
}

static void it_is_called_when_its_time_has_come(void **state)
{
    struct office office = {.wake_at = wall_ms() + 120, .keeps = true};
    (void)state;
    open_office(&office);
    post(&office);
    end_office(&office);
    assert_int_equal(office.idle_runs, 1);
    assert_true(office.woken_ms >= office.wake_at);
    assert_true(office.woken_ms < office.wake_at + 1000);
}

/* A thread with more to do than it takes at a time asks to be called at once. */
static void wake_at_zero_means_at_once_also_at_the_end(void **state)
{
    struct office office = {.wake_at = 0, .keeps = true};
    (void)state;
    open_office(&office);
    for (unsigned i = 0; i < 10; i++)
        post(&office);
    offload_close(&office.offload);
    end_office(&office);
    assert_true(office.idle_runs >= 1);
}

static void without_letters_it_ends_at_once(void **state)
{
    struct office office = {0};
    (void)state;
    open_office(&office);
    offload_close(&office.offload);
    end_office(&office);
    assert_int_equal(office.batches + office.idle_runs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_comes_back_once_and_in_order),
        cmocka_unit_test(it_is_called_when_its_time_has_come),
        cmocka_unit_test(wake_at_zero_means_at_once_also_at_the_end),
        cmocka_unit_test(without_letters_it_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
