#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus/schedule.h"
#include "bus_rig.h"

#include <cmocka.h>

enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* --------------------------------------------------------------------- pure */

static void expect_due(const struct schedule_time *t, int64_t last, int64_t now, int64_t due,
                       int64_t next)
{
    int64_t got_next = 0, got = schedule_due(t, last, now, &got_next);
    assert_int_equal(got, due);
    assert_int_equal(got_next, next);
}

static void an_interval_is_due_once_however_many_have_passed(void **state)
{
    const struct schedule_time t = {.every_ms = 100};
    (void)state;
    expect_due(&t, 1000, 1099, 0, 1100);
    expect_due(&t, 1000, 1100, 1100, 1200);
    expect_due(&t, 1000, 1350, 1300, 1400);
    expect_due(&t, 1000, 500, 0, 1100); /* the clock was set back */
}

static void of_a_clocks_times_only_the_last_is_made_up_for(void **state)
{
    struct err err;
    struct schedule_time t = {.by_cron = true};
    struct zone *z = zone_open("UTC", NULL, &err);
    (void)state;
    t.zone = z;
    assert_int_equal(cron_parse("0 3 * * *", &t.cron, &err), 0);
    expect_due(&t, 3LL * HOUR, 3LL * HOUR + 1, 0, DAY + 3LL * HOUR);
    expect_due(&t, 3LL * HOUR, DAY + 3LL * HOUR, DAY + 3LL * HOUR, 2LL * DAY + 3LL * HOUR);
    expect_due(&t, 3LL * HOUR, 900LL * DAY, 899LL * DAY + 3LL * HOUR, 900LL * DAY + 3LL * HOUR);
    expect_due(&t, 9LL * DAY, 5LL * DAY, 0, 9LL * DAY + 3LL * HOUR);
    assert_int_equal(cron_parse("*/5 * * * *", &t.cron, &err), 0);
    expect_due(&t, 0, 400LL * DAY + 7LL * MINUTE, 400LL * DAY + 5LL * MINUTE,
               400LL * DAY + 10LL * MINUTE);
    assert_int_equal(cron_parse("0-59 0 1 1 *", &t.cron, &err), 0);
    expect_due(&t, 0, 365LL * DAY + 30LL * MINUTE, 365LL * DAY + 30LL * MINUTE,
               365LL * DAY + 31LL * MINUTE);
    zone_free(z);
}

static void what_cannot_run_is_told(void **state)
{
    static const struct {
        struct schedule_config config;
        const char *why;
    } cases[] = {
        {{.every = 5, .topic = "a"}, NULL},
        {{.cron = "@daily", .timezone = "UTC", .queue = "q"}, NULL},
        {{.topic = "a"}, "either cron or every"},
        {{.cron = "@daily", .every = 5, .topic = "a"}, "either cron or every"},
        {{.every = 5}, "either publish or enqueue"},
        {{.every = 5, .topic = "a", .queue = "b"}, "either publish or enqueue"},
        {{.every = 5, .topic = "a b"}, "letters, digits"},
        {{.cron = "x", .topic = "a"}, "five fields"},
        {{.cron = "@daily", .timezone = "Mars/Olympus", .topic = "a"}, "Mars/Olympus"},
        {{.cron = "0 0 30 2 *", .timezone = "UTC", .topic = "a"}, "never comes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        int rc = schedule_check(&cases[i].config, &err);
        assert_int_equal(rc, cases[i].why ? -1 : 0);
        if (cases[i].why && !strstr(err.text, cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].why);
    }
}

/* ------------------------------------------------------------------ running */

static struct bus_rig *rig;
static struct schedule_config plan;

static int open_rig(void **state)
{
    (void)state;
    rig = xcalloc(1, sizeof(*rig));
    bus_rig_open(rig);
    plan = (struct schedule_config){
        .name = "tick", .every = 40, .topic = "tick.tock", .data = "{\"n\":1}", .key = "k"};
    rig->config->schedules = &plan;
    rig->config->schedule_count = 1;
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    bus_rig_close(rig);
    xfree(rig);
    return 0;
}

static size_t ticks(void)
{
    return memory_count(rig->store, SLICE("events"));
}

static size_t marks(void)
{
    return memory_count(rig->store, SLICE("schedules"));
}

static const struct message *last_of(const char *topic)
{
    for (uint64_t seq = memory_last(rig->store); seq; seq--) {
        const struct message *m = memory_find(rig->store, seq);
        if (m && slice_is(m->topic, topic))
            return m;
    }
    return NULL;
}

static void it_publishes_at_its_times(void **state)
{
    (void)state;
    bus_configure(rig->bus, rig->config);
    bus_until(rig, ticks() >= 3);
    assert_int_equal(marks(), 1); /* of each schedule the last */
    long long before = 0, at;
    for (uint64_t seq = 1; seq <= memory_last(rig->store); seq++) {
        const struct message *m = memory_find(rig->store, seq);
        if (!m || !slice_is(m->topic, "tick.tock"))
            continue;
        char id[MESSAGE_ID_MAX + 1];
        snprintf(id, sizeof(id), SLICE_FMT, SLICE_ARG(m->msgid));
        assert_true(slice_is(m->data, "{\"n\":1}") && slice_is(m->key, "k"));
        assert_true(slice_is(m->origin, "schedule"));
        assert_int_equal(sscanf(id, "schedule/tick/%lld", &at), 1);
        assert_true(m->time_ms >= at);
        assert_true(!before || (at > before && (at - before) % 40 == 0));
        before = at;
    }
}

static bool is_stored;

static void stored(struct publication *p, enum publish_fault fault, const char *why)
{
    (void)p, (void)why;
    is_stored = fault == PUBLISH_OK;
}

/* As if it had last run so long ago, by that rule, in an earlier run of nodey. */
static void ran_before(int64_t ago_ms, const char *spec)
{
    char data[200];
    struct publication p = {.done = stored};
    snprintf(data, sizeof(data), "{\"at\":%lld,\"spec\":\"%s\"}",
             (long long)(bus_wall_ms() - ago_ms), spec);
    is_stored = false;
    stream_of_times(rig->bus);
    struct message *m = message_new(&(struct message_parts){
        .stream = SLICE("schedules"), .topic = SLICE("tick"), .data = slice_of(data)});
    bus_publish(rig->bus, &p, &m, 1);
    bus_until(rig, is_stored);
}

static void what_was_due_while_nodey_was_down_runs_once(void **state)
{
    (void)state;
    plan.every = HOUR;
    ran_before(30LL * DAY + 10LL * MINUTE, "every 3600000 ms");
    bus_configure(rig->bus, rig->config);
    bus_until(rig, ticks() == 1);
    bus_rig_reopen(rig);
    bus_rig_linger(rig, 30);
    assert_int_equal(ticks(), 1);
    assert_int_equal(marks(), 1);
    assert_true(last_of("tick.tock")->time_ms > 0);
}

static void what_ran_before_its_time_has_come_again_waits(void **state)
{
    (void)state;
    plan.every = HOUR;
    ran_before(10LL * MINUTE, "every 3600000 ms");
    bus_configure(rig->bus, rig->config);
    bus_rig_linger(rig, 30);
    assert_int_equal(ticks(), 0);
}

static bool marked(const char *rule)
{
    const struct message *m = last_of("tick");
    return m && memmem(m->data.ptr, m->data.len, rule, strlen(rule));
}

static void with_another_rule_it_starts_anew(void **state)
{
    (void)state;
    plan.every = HOUR;
    ran_before(30LL * DAY, "every 1800000 ms");
    bus_configure(rig->bus, rig->config);
    bus_until(rig, marked("3600000"));
    bus_rig_linger(rig, 10);
    assert_int_equal(ticks(), 0);
    assert_int_equal(marks(), 1);
    struct schedule_config other = {.name = "tick", .every = 2 * HOUR, .topic = "tick.tock"};
    rig->config->schedules = &other;
    bus_configure(rig->bus, rig->config);
    bus_until(rig, marked("7200000"));
    assert_int_equal(ticks(), 0);
    rig->config->schedules = &plan;
}

/* A clock that was a day and more ahead does not silence it until that day. */
static void a_time_in_the_future_is_not_believed(void **state)
{
    (void)state;
    ran_before(-3LL * DAY, "every 40 ms");
    bus_configure(rig->bus, rig->config);
    bus_until(rig, ticks() >= 1);
    assert_true(bus_rig_told(rig, "the clock was set back"));
}

static void a_new_one_waits_for_its_time_also_if_nodey_is_down_then(void **state)
{
    const struct timespec nap = {.tv_nsec = 300000000};
    (void)state;
    plan.every = 250;
    bus_configure(rig->bus, rig->config);
    bus_until(rig, marks() == 1);
    bus_rig_close_bus(rig);
    size_t before = ticks();
    nanosleep(&nap, NULL);
    bus_rig_open_bus(rig);
    bus_until(rig, ticks() > before);
}

static void a_full_store_is_tried_again_and_nothing_comes_twice(void **state)
{
    (void)state;
    plan.every = 400;
    bus_configure(rig->bus, rig->config);
    bus_until(rig, marks() == 1);
    memory_store_fail(rig->store, 1, ENGINE_FULL);
    bus_until(rig, bus_rig_told(rig, "schedule \"tick\" cannot publish"));
    assert_int_equal(ticks(), 0);
    bus_until(rig, ticks() == 1);
}

static void a_queue_gets_its_jobs_by_the_clock(void **state)
{
    (void)state;
    plan = (struct schedule_config){.name = "night", .every = 20, .queue = "clean"};
    bus_configure(rig->bus, rig->config);
    bus_until(rig, memory_count(rig->store, SLICE("queue.clean")) == 2);
}

static void one_that_cannot_run_is_told_and_shown(void **state)
{
    struct buf out = {0};
    (void)state;
    plan.every = 0;
    plan.cron = "* * *";
    bus_configure(rig->bus, rig->config);
    assert_true(bus_rig_told(rig, "schedule \"tick\" does not run: \"* * *\" has not five"));
    schedules_describe(rig->bus->schedules, &out);
    assert_non_null(strstr(buf_cstr(&out), "\"error\":\"\\\"* * *\\\" has not five fields"));
    buf_deinit(&out);
    bus_rig_linger(rig, 20);
    assert_int_equal(memory_last(rig->store), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_is_due_once_however_many_have_passed),
        cmocka_unit_test(of_a_clocks_times_only_the_last_is_made_up_for),
        cmocka_unit_test(what_cannot_run_is_told),
        TEST(it_publishes_at_its_times),
        TEST(what_was_due_while_nodey_was_down_runs_once),
        TEST(what_ran_before_its_time_has_come_again_waits),
        TEST(a_time_in_the_future_is_not_believed),
        TEST(a_new_one_waits_for_its_time_also_if_nodey_is_down_then),
        TEST(with_another_rule_it_starts_anew),
        TEST(a_full_store_is_tried_again_and_nothing_comes_twice),
        TEST(a_queue_gets_its_jobs_by_the_clock),
        TEST(one_that_cannot_run_is_told_and_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
