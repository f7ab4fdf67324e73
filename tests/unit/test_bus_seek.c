#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bus/group_parts.h"
#include "bus_rig.h"

#include <cmocka.h>

static const char *const all[] = {"a.>", NULL};
static const uint64_t slow[] = {60000};
static const struct subscription patient = {.attempts = 3, .backoff = slow, .backoff_count = 1};

static struct bus_rig *rig;
static struct rig_owner one;

static int open_rig(void **state)
{
    (void)state;
    rig = xcalloc(1, sizeof(*rig));
    one = (struct rig_owner){0};
    bus_rig_open(rig);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_give_all_back(&one);
    bus_rig_close(rig);
    xfree(rig);
    return 0;
}

static void note(void *arg, const char *error)
{
    snprintf(arg, 200, "%s", error ? error : "done");
}

static void a_seek_voids_what_is_out_and_begins_elsewhere(void **state)
{
    char said[200] = "", second[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    rig->bus->soon_ms = 1;
    bus_rig_publish_all(rig, 2, "k");
    bus_rig_publish_all(rig, 4, "");
    bus_until(rig, one.held_count == 5);
    rig_fail(&one, 60000);
    rig_done(&one);
    bus_until(rig, memory_put_off(rig->store, "events", "one") == 2);
    group_seek(one.group, (struct start){.kind = START_SEQ, .seq = 2}, note, said);
    group_seek(one.group, (struct start){.kind = START_FIRST}, note, second);
    assert_string_equal(said, "");
    assert_non_null(strstr(second, "under way"));
    assert_int_equal(one.revoked, 3);
    assert_int_equal(one.held_count, 0);
    assert_int_equal(group_backlog(one.group), 0);
    bus_until(rig, *said);
    assert_string_equal(said, "done");
    bus_until(rig, one.held_count == 5);
    assert_int_equal(rig_first_seq(&one), 2);
    assert_int_equal(memory_put_off(rig->store, "events", "one"), 0);
}

/* What was on its way when the seek was wished for is of the old place. */
static void late_deliveries_are_dropped(void **state)
{
    char said[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 3, "");
    bus_until(rig, one.held_count == 3);
    struct consumer *c = list_first(&one.group->consumers, struct consumer, node);
    group_seek(one.group, (struct start){.kind = START_NEW}, note, said);
    const struct delivery_note late = {message_hold(memory_find(rig->store, 2)), c->id, 1, 0};
    rig->bus->engine->events->deliver(rig->bus->engine, &late, 1);
    bus_until(rig, *said);
    bus_rig_linger(rig, 5);
    assert_int_equal(one.held_count, 0);
    const struct delivery_note later = {message_hold(memory_find(rig->store, 2)), c->id, 1, 0};
    rig->bus->engine->events->deliver(rig->bus->engine, &later, 1);
    bus_rig_linger(rig, 5);
    assert_int_equal(one.held_count, 0);
    bus_rig_publish_all(rig, 1, "");
    bus_until(rig, one.held_count == 1);
}

/* A worker may wish for it as soon as it is ready, when its group is new to this run. */
static void a_seek_waits_until_its_group_is_declared(void **state)
{
    char said[200] = "";
    (void)state;
    bus_rig_publish_all(rig, 3, "");
    bus_rig_group(rig, &one, "one", all, NULL);
    group_seek(one.group, (struct start){.kind = START_FIRST}, note, said);
    assert_string_equal(said, "");
    bus_until(rig, *said);
    assert_string_equal(said, "done");
    bus_until(rig, one.held_count == 3);
    assert_int_equal(rig_first_seq(&one), 1);
}

static void a_settle_on_its_way_finds_the_seek_done(void **state)
{
    char said[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_publish_all(rig, 3, "k");
    bus_until(rig, one.held_count == 1);
    rig_done(&one);
    group_seek(one.group, (struct start){.kind = START_FIRST}, note, said);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        bus_until(rig, one.held_count == 1);
        assert_int_equal(rig_first_seq(&one), seq);
        rig_done(&one);
    }
    bus_until(rig, memory_is_settled(rig->store, "events", "one", 3));
}

static void a_dropped_group_is_forgotten_with_its_place(void **state)
{
    char said[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    bus_rig_publish_all(rig, 3, "");
    bus_until(rig, one.held_count == 3);
    rig_fail(&one, 60000);
    rig_done(&one);
    group_drop(one.group, note, said);
    assert_int_equal(one.revoked, 1);
    assert_null(bus_find_group(rig->bus, SLICE("one")));
    bus_until(rig, *said);
    assert_string_equal(said, "done");
    bus_rig_linger(rig, 5);
    assert_true(list_empty(&rig->bus->groups));
    one = (struct rig_owner){0};
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_until(rig, one.held_count == 3);
}

static void a_gap_is_told_and_what_was_put_off_in_it_is_forgotten(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, &patient);
    rig->bus->soon_ms = 1;
    bus_rig_publish_all(rig, 3, "k");
    bus_until(rig, one.held_count == 1);
    rig_fail(&one, 60000);
    bus_until(rig, memory_put_off(rig->store, "events", "one") == 3);
    memory_store_discard(rig->store, 1);
    assert_int_equal(one.gaps, 1);
    bus_until(rig, one.held_count == 1);
    assert_int_equal(rig_first_seq(&one), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_seek_voids_what_is_out_and_begins_elsewhere),
        TEST(late_deliveries_are_dropped),
        TEST(a_seek_waits_until_its_group_is_declared),
        TEST(a_settle_on_its_way_finds_the_seek_done),
        TEST(a_dropped_group_is_forgotten_with_its_place),
        TEST(a_gap_is_told_and_what_was_put_off_in_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
