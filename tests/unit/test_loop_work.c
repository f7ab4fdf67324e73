#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/work.h"

#include <cmocka.h>

struct job {
    struct work work;
    struct loop *loop;
    pthread_t ran_on;
    pthread_t ended_on;
    unsigned runs;
    unsigned wanted;
};

static void run(struct work *work)
{
    struct job *job = container_of(work, struct job, work);
    job->ran_on = pthread_self();
    job->runs++;
}

/* It may be started anew from here. */
static void done(struct work *work)
{
    struct job *job = container_of(work, struct job, work);
    assert_false(work_busy(work));
    job->ended_on = pthread_self();
    if (job->runs < job->wanted)
        work_start(work, job->loop, run, done);
}

static void a_thread_works_and_the_loop_is_told(void **state)
{
    struct loop loop;
    struct job job = {.loop = &loop, .wanted = 3};
    (void)state;
    assert_int_equal(loop_init(&loop), 0);
    work_start(&job.work, &loop, run, done);
    assert_true(work_busy(&job.work));
    loop_run(&loop);
    assert_int_equal(job.runs, 3);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    assert_true(pthread_equal(job.ended_on, pthread_self()));
    assert_int_equal(loop_deinit(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_thread_works_and_the_loop_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
