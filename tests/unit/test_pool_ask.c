/* What workers ask of each other is answered, sooner or later, exactly once. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

#define READY(tokens) "ready(features=['ask', 'nested', 'cancel'], tokens=[" tokens "])"

static void an_ask_is_answered(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool,
             "reply(str(ask('Fib', 'answer([stack[-1][\"from\"], stack[-1][\"depth\"]])')))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "['web#0', 1]");
    rig_free(rig);
}

static void an_error_is_passed_on(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "reply(ask('Fib', 'fail(\"out_of_range\", \"too large\")'))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "out_of_range: too large");
    rig_free(rig);
}

static void an_unknown_token_is_refused(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    job_send(&job, pool, "reply(ask('Nobody'))");
    rig_until(rig, job.ends);
    assert_non_null(strstr(job.text, "unimplemented: no worker answers the token \"Nobody\""));
    rig_free(rig);
}

/* Both have one instance, which waits in an ask of its own when it is asked. */
static void two_pools_may_ask_each_other(void **state)
{
    struct job job;
    struct worker_config a = rig_config("a", READY("'A'"));
    struct worker_config b = rig_config("b", READY("'B'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &a);
    rig_pool(rig, &b);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool,
             "reply(str(ask('B', 'answer(ask(\"A\", \"answer(len(stack))\") + 10)')))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "12"); /* on top of the request that it was working on */
    rig_free(rig);
}

static void asks_go_before_requests(void **state)
{
    struct job busy, request, asker;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &fib);
    struct pool *other = rig_pool(rig, &web);
    rig_until(rig, rig->readies == 2);
    job_send(&busy, pool, "sleep(0.2); reply()");
    job_send(&request, pool, "reply(str(count))");
    job_send(&asker, other, "reply(str(ask('Fib', 'answer(count)')))");
    rig_until(rig, request.ends && asker.ends);
    assert_string_equal(asker.text, "2");
    assert_string_equal(request.text, "3");
    rig_free(rig);
}

/* It runs in a circle until the depth ends it. */
static void asks_are_not_nested_for_ever(void **state)
{
    struct job job;
    struct worker_config config = rig_config(
        "a", READY("'A'") "\n"
                          "def circle():\n"
                          "    got = ask('A', 'circle()')\n"
                          "    answer(got) if 'token' in stack[-1] else reply(str(got))\n");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    job_send(&job, pool, "circle()");
    rig_until(rig, job.ends);
    assert_non_null(strstr(job.text, "resource_exhausted: asks are nested more than 64 deep"));
    rig_free(rig);
}

/* A call that asks may take long: what it was given on top must not move it elsewhere. */
static void a_call_that_waits_in_an_ask_is_not_moved(void **state)
{
    struct job job;
    struct worker_config a = rig_config("a", READY("'A'"));
    struct worker_config b = rig_config("b", READY("'B'"));
    (void)state;
    a.instances = 2;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &a);
    rig_pool(rig, &b);
    rig_until(rig, rig->readies == 3);
    struct job other;
    job_init(&job,
             "reply(ask('B', 'answer(ask(\"A\", \"sleep(0.1); answer(str(len(stack)))\"))'))");
    job.call.idempotent = true;
    assert_null(job_submit(&job, pool, 0));
    job_send(&other, pool, "sleep(0.3); reply()"); /* the other instance is busy */
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "2");
    assert_int_equal(job.writes, 1);
    rig_until(rig, other.ends);
    rig_free(rig);
}

static void an_ask_at_the_start_waits_for_its_answerer(void **state)
{
    struct job job;
    struct worker_config web =
        rig_config("web", "first = ask('Fib', 'answer(55)')\n" READY(""));
    struct worker_config fib = rig_config("fib", "sleep(0.2)\n" READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    job_send(&job, pool, "reply(str(first))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "55");
    rig_free(rig);
}

static void an_ask_at_the_start_is_refused_when_nobody_comes(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", "first = ask('Fib')\n" READY(""));
    struct worker_config fib = rig_config("fib", "os._exit(1)");
    struct worker_config late =
        rig_config("late", "second = ask('Fib', timeout=50)\n" READY(""));
    struct worker_config never = rig_config("never", "sleep(1000)");
    (void)state;
    web.start_timeout = 20000;
    struct rig *rig = rig_new();
    rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_pool(rig, &never); /* so that not all have settled */
    struct pool *pool = rig_pool(rig, &late);
    job_send(&job, pool, "reply(second)");
    rig_until(rig, job.ends);
    assert_non_null(strstr(job.text, "unavailable: no worker that answers this token"));
    assert_int_equal(rig->readies, 1);
    rig_free(rig);
}

static void a_configured_token_is_answered_by_its_pool(void **state)
{
    static const char *tokens[] = {"Shell", NULL};
    static const char *script[] = {
        "/bin/sh", "-c",
        "echo '{\"type\":\"ready\"}'; while read -r line; do id=${line#*\\\"id\\\":};"
        "printf '{\"id\":%s,\"json\":[1,2]}\\n' \"${id%%,*}\"; done",
        NULL};
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config shell = rig_command("sh", script);
    (void)state;
    shell.tokens = (struct string_list){tokens, 1};
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &shell);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "reply(str(ask('Shell', {})))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "[1, 2]");
    rig_free(rig);
}

static void a_token_declared_later_is_known(void **state)
{
    struct job job;
    struct worker_config config = rig_config("a", READY(""));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    job_send(&job, pool,
             READY("'New'") "; sleep(0.05); reply(ask('New', 'answer(\"known\")'))");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "known");
    rig_free(rig);
}

/* ------------------------------------------------------------------- the end */

static void the_answerer_dies(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "reply(ask('Fib', 'os._exit(7)'))");
    rig_until(rig, job.ends);
    assert_non_null(strstr(job.text, "internal: "));
    assert_non_null(strstr(job.text, "exited with status 7"));
    rig_free(rig);
}

static void the_asker_dies_and_the_answerer_is_told(void **state)
{
    struct job job, next;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    struct pool *answers = rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool,
             "ask('Fib', 'sleep(0.2); answer(1)', wait=False); sleep(0.05); os._exit(3)");
    rig_until(rig, job.ends);
    assert_int_equal(job.status, 502);
    assert_int_equal(rig_worker(answers, 0)->slot_count, 1); /* until it answers */
    job_send(&next, answers, "reply(str(len(cancelled)))");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "1");
    rig_free(rig);
}

static void an_asker_may_cancel(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool,
             "ask('Fib', 'sleep(1000)', wait=False); put('{\"type\":\"cancel\",\"id\":1}');\n"
             "while 1 not in answers: sort(read())\n"
             "reply(answers[1]['code'])");
    rig_until(rig, job.ends);
    assert_string_equal(job.text, "cancelled");
    rig_free(rig);
}

static void the_deadline_of_a_call_is_that_of_its_asks(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_init(&job, "reply(str(ask('Fib', 'answer(stack[-1][\"timeout\"])')))");
    assert_null(job_submit(&job, pool, 3000));
    rig_until(rig, job.ends);
    assert_in_range(atoi(job.text), 1, 3000);
    rig_free(rig);
}

/*
 * One instance asks itself, and within that another pool: its list of asks holds both,
 * and to cancel the outer one ends the inner one too.
 */
static void cancelling_a_chain_of_asks_cancels_each_once(void **state)
{
    struct job job, next;
    struct worker_config a = rig_config("a", READY("'A'"));
    struct worker_config b = rig_config("b", READY("'B'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &a);
    struct pool *other = rig_pool(rig, &b);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "ask('A', 'answer(ask(\"B\", \"sleep(0.3); answer(1)\"))'); reply()");
    rig_until(rig, rig_worker(other, 0)->slot_count == 1);
    assert_int_equal(list_count(&rig_worker(pool, 0)->asks), 2);
    call_cancel(&job.call, "disconnect");
    assert_int_equal(list_count(&rig_worker(pool, 0)->asks), 0);
    rig_until(rig, rig_worker(pool, 0)->slot_count == 0);
    job_send(&next, pool, "reply('fine')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "fine");
    rig_free(rig);
    assert_int_equal(job.ends, 0);
}

/* The worker answers its call and leaves an ask open. */
static void an_ask_outlives_the_call_it_was_made_for(void **state)
{
    struct job job, next;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "ask('Fib', 'sleep(0.1); answer(5)', wait=False); reply()");
    rig_until(rig, job.ends);
    assert_int_equal(list_count(&rig_worker(pool, 0)->asks), 1);
    job_send(&next, pool,
             "while 1 not in answers: sort(read())\nreply(str(answers[1]['value']))");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "5");
    rig_free(rig);
}

static void stopping_waits_for_what_asks(void **state)
{
    struct job job;
    struct worker_config web = rig_config("web", READY(""));
    struct worker_config fib = rig_config("fib", READY("'Fib'"));
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &web);
    rig_pool(rig, &fib);
    rig_until(rig, rig->readies == 2);
    job_send(&job, pool, "reply(str(ask('Fib', 'sleep(0.2); answer(5)')))");
    rig_until(rig, !list_empty(&rig_worker(pool, 0)->asks));
    pools_stop(&rig->pools, 20000);
    rig_until(rig, rig->stops);
    assert_string_equal(job.text, "5");
    rig_free(rig);
}

static int tests(void)
{
    static const struct CMUnitTest all[] = {
        cmocka_unit_test(an_ask_is_answered),
        cmocka_unit_test(an_error_is_passed_on),
        cmocka_unit_test(an_unknown_token_is_refused),
        cmocka_unit_test(two_pools_may_ask_each_other),
        cmocka_unit_test(asks_go_before_requests),
        cmocka_unit_test(asks_are_not_nested_for_ever),
        cmocka_unit_test(a_call_that_waits_in_an_ask_is_not_moved),
        cmocka_unit_test(an_ask_at_the_start_waits_for_its_answerer),
        cmocka_unit_test(an_ask_at_the_start_is_refused_when_nobody_comes),
        cmocka_unit_test(a_configured_token_is_answered_by_its_pool),
        cmocka_unit_test(a_token_declared_later_is_known),
        cmocka_unit_test(the_answerer_dies),
        cmocka_unit_test(the_asker_dies_and_the_answerer_is_told),
        cmocka_unit_test(an_asker_may_cancel),
        cmocka_unit_test(the_deadline_of_a_call_is_that_of_its_asks),
        cmocka_unit_test(cancelling_a_chain_of_asks_cancels_each_once),
        cmocka_unit_test(an_ask_outlives_the_call_it_was_made_for),
        cmocka_unit_test(stopping_waits_for_what_asks),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
