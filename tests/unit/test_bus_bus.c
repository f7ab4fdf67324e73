#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bus/group_parts.h"
#include "bus_rig.h"

#include <cmocka.h>

static const char *const all[] = {">", NULL};
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

/* ------------------------------------------------------------------ compose */

static char long_text[300];

static void what_cannot_be_published_is_told(void **state)
{
    memset(long_text, 'x', sizeof(long_text) - 1);

    const struct {
        struct publish_request request;
        const char *why;
    } cases[] = {
        {{.data = SLICE("1")}, "exactly one"},
        {{.topic = SLICE("a"), .queue = SLICE("b")}, "exactly one"},
        {{.topic = SLICE("a..b")}, "two in a row"},
        {{.topic = SLICE("a.*")}, "letters, digits"},
        {{.queue = SLICE("a b")}, "queue \"a b\""},
        {{.topic = {long_text, 256}}, "255 bytes"},
        {{.topic = SLICE("a"), .key = {long_text, 201}}, "key has 201 bytes"},
        {{.topic = SLICE("a"), .msgid = {long_text, 201}}, "msgid has 201 bytes"},
        {{.topic = SLICE("a"), .key = {"\xff", 1}}, "UTF-8"},
        {{.topic = SLICE("a"), .msgid = {"a\0b", 3}}, "NUL"},
        {{.topic = SLICE("a"), .at_ms = INT64_MAX}, "ten years"},
        {{.topic = SLICE("a"), .at_ms = -5}, "ten years"},
        {{.topic = SLICE("a"), .data = {long_text, MESSAGE_DATA_MAX + 1}}, "67108864"},
        {{.topic = SLICE("a"), .headers = {long_text, 65537}}, "headers have"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        assert_null(bus_compose(rig->bus, &cases[i].request, &err));
        if (!strstr(err.text, cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].why);
    }
}

static struct message *compose(const struct publish_request *r)
{
    struct err err;
    struct message *m = bus_compose(rig->bus, r, &err);
    assert_non_null(m);
    return m;
}

static void a_message_says_where_it_belongs(void **state)
{
    (void)state;
    struct message *m = compose(&(struct publish_request){.topic = SLICE("a.b"),
                                                          .key = SLICE("k"),
                                                          .msgid = SLICE("id"),
                                                          .headers = SLICE("{\"x\":\"y\"}"),
                                                          .origin = SLICE("api"),
                                                          .data = SLICE("[1]")});
    assert_true(slice_is(m->stream, "events") && slice_is(m->topic, "a.b"));
    assert_true(slice_is(m->key, "k") && slice_is(m->msgid, "id"));
    assert_true(slice_is(m->headers, "{\"x\":\"y\"}") && slice_is(m->data, "[1]"));
    assert_true(slice_is(m->origin, "api"));
    assert_int_equal(m->cause.len + m->correlation.len, 0);
    assert_int_equal(m->due_ms, 0);
    message_release(m);
    m = compose(&(struct publish_request){.queue = SLICE("mail.out"), .at_ms = 1});
    assert_true(slice_is(m->stream, "queue.mail.out") && slice_is(m->topic, "mail.out"));
    assert_int_equal(m->due_ms, 0); /* that is over */
    message_release(m);
    int64_t later = bus_wall_ms() + 60000;
    m = compose(&(struct publish_request){.topic = SLICE("a"), .at_ms = later});
    assert_true(m->due_ms == later);
    message_release(m);
}

static void what_is_published_within_a_handler_is_of_its_story(void **state)
{
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    assert_true(bus_rig_publish(rig, "a", "k1", "1") == 1);
    bus_until(rig, one.held_count == 1);
    const struct delivery *d = rig_first(&one)->delivery;
    struct message *m = compose(&(struct publish_request){.topic = SLICE("b"), .handling = d});
    assert_true(slice_is(m->cause, "1") && slice_is(m->correlation, "1"));
    assert_true(slice_is(m->key, "k1")); /* it was not said */
    assert_memory_equal(m->traceparent.ptr, d->message->traceparent.ptr, 36);
    assert_memory_not_equal(m->traceparent.ptr + 36, d->message->traceparent.ptr + 36, 16);
    message_release(m);
    m = compose(
        &(struct publish_request){.topic = SLICE("b"), .key = SLICE(""), .handling = d});
    assert_int_equal(m->key.len, 0); /* it was said that there is none */
    message_release(m);

    /* The third of a story knows the first. */
    assert_true(bus_rig_request(rig, &(struct publish_request){.topic = SLICE("b"),
                                                               .msgid = SLICE("second"),
                                                               .key = SLICE(""),
                                                               .handling = d}) == 2);
    bus_until(rig, one.held_count == 2);
    d = list_last(&one.held, struct held, node)->delivery;
    m = compose(&(struct publish_request){.topic = SLICE("c"), .handling = d});
    assert_true(slice_is(m->cause, "second") && slice_is(m->correlation, "1"));
    message_release(m);
}

static void traces_go_on_and_are_begun(void **state)
{
    static const char given[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"};
    (void)state;
    struct message *m =
        compose(&(struct publish_request){.topic = SLICE("a"), .traceparent = slice_of(given)});
    assert_int_equal(m->traceparent.len, 55);
    assert_memory_equal(m->traceparent.ptr, given, 36);
    assert_memory_not_equal(m->traceparent.ptr + 36, given + 36, 16);
    assert_memory_equal(m->traceparent.ptr + 52, "-00", 3);
    message_release(m);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        m = compose(
            &(struct publish_request){.topic = SLICE("a"), .traceparent = slice_of(bad[i])});
        assert_int_equal(m->traceparent.len, 55);
        assert_memory_equal(m->traceparent.ptr + 52, "-01", 3);
        assert_memory_not_equal(m->traceparent.ptr + 3, given + 3, 32);
        for (size_t n = 0; n < 55; n++)
            assert_non_null(strchr("0123456789abcdef-", m->traceparent.ptr[n]));
        message_release(m);
    }
}

/* ------------------------------------------------------------------ streams */

static void streams_take_their_topics(void **state)
{
    static const char *const orders[] = {"order.>", "audit.*.x"};
    static const char *const twice[] = {"order.paid"};
    static const char *const none[] = {"x"};
    struct stream_config streams[] = {
        {.name = "orders", .topics = {(const char **)orders, 2}, .max_bytes = 7},
        {.name = "twice", .topics = {(const char **)twice, 1}},
        {.name = "dead", .topics = {(const char **)none, 1}, .max_bytes = 9},
    };
    static const char *const cases[][2] = {
        {"order.paid", "orders"}, {"order", "events"},     {"audit.a.x", "orders"},
        {"audit.a.y", "events"},  {"order.a.b", "orders"}, {"x", "events"},
    };
    (void)state;
    rig->config->streams = streams;
    rig->config->stream_count = ARRAY_LEN(streams);
    bus_configure(rig->bus, rig->config);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message *m = compose(&(struct publish_request){.topic = slice_of(cases[i][0])});
        assert_true(slice_is(m->stream, cases[i][1]));
        message_release(m);
    }
    assert_true(bus_rig_told(rig, "\"order.paid\" overlaps with what stream \"orders\" takes"));
    assert_int_equal(stream_find(rig->bus, SLICE("orders"))->limits.max_bytes, 7);
    assert_int_equal(stream_find(rig->bus, SLICE("dead"))->limits.max_bytes, 9);
    rig->config->stream_count = 0;
    bus_configure(rig->bus, rig->config);
    struct message *m = compose(&(struct publish_request){.topic = SLICE("order.paid")});
    assert_true(slice_is(m->stream, "events"));
    message_release(m);
}

static void a_queue_has_its_limits_and_is_declared_when_it_is_used(void **state)
{
    struct queue_config queue = {.name = "mail", .max_bytes = 5, .durability = DURABILITY_OS};
    (void)state;
    rig->config->queues = &queue;
    rig->config->queue_count = 1;
    assert_true(bus_rig_request(rig, &(struct publish_request){.queue = SLICE("mail")}) == 1);
    const struct bus_stream *s = stream_find(rig->bus, SLICE("queue.mail"));
    assert_true(s->limits.work && s->limits.max_bytes == 5);
    assert_int_equal(s->limits.durability, DURABILITY_OS);
    assert_null(stream_find(rig->bus, SLICE("queue.other")));
    assert_true(bus_rig_request(rig, &(struct publish_request){.queue = SLICE("other")}) == 2);
    assert_int_equal(stream_find(rig->bus, SLICE("queue.other"))->limits.max_bytes, 1 << 30);
    rig->config->queue_count = 0;
}

static void queues_are_not_without_number(void **state)
{
    (void)state;
    rig->bus->stream_names.count += BUS_STREAMS_MAX; /* as if there were so many */
    struct err err;
    assert_null(bus_compose(rig->bus, &(struct publish_request){.queue = SLICE("more")}, &err));
    assert_non_null(strstr(err.text, "10000 streams"));
    rig->bus->stream_names.count -= BUS_STREAMS_MAX;
}

/* ------------------------------------------------------------------ publish */

static void a_msgid_is_stored_once_and_a_delay_is_waited_for(void **state)
{
    const struct publish_request same = {.topic = SLICE("a"), .msgid = SLICE("m")};
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    assert_int_equal(bus_rig_request(rig, &same), 1);
    assert_int_equal(bus_rig_request(rig, &same), 1);
    bus_rig_request(
        rig, &(struct publish_request){.topic = SLICE("later"), .at_ms = bus_wall_ms() + 30});
    bus_until(rig, one.held_count == 1);
    uint64_t before = bus_clock_ms();
    bus_until(rig, one.held_count == 2);
    assert_in_range(bus_clock_ms() - before, 20, 60);
    assert_int_equal(rig->stored_count, 2);
}

struct part {
    struct publication publication;
    bool done;
    enum publish_fault fault;
    char why[100];
};

static void on_done(struct publication *p, enum publish_fault fault, const char *why)
{
    struct part *x = container_of(p, struct part, publication);
    x->done = true;
    x->fault = fault;
    snprintf(x->why, sizeof(x->why), "%s", why);
}

static void faults_are_told_in_words(void **state)
{
    static const struct {
        enum engine_status status;
        enum publish_fault fault;
    } cases[] = {{ENGINE_FULL, PUBLISH_FULL},
                 {ENGINE_INVALID, PUBLISH_INVALID},
                 {ENGINE_BROKEN, PUBLISH_FAILED}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct part x = {.publication = {.done = on_done}};
        struct message *m[] = {compose(&(struct publish_request){.topic = SLICE("a")}),
                               compose(&(struct publish_request){.topic = SLICE("b")})};
        memory_store_fail(rig->store, 1, cases[i].status);
        bus_publish(rig->bus, &x.publication, m, 2);
        assert_false(x.done);
        bus_until(rig, x.done);
        assert_int_equal(x.fault, cases[i].fault);
        assert_true(*x.why);
        assert_int_equal(memory_last(rig->store), 0);
        assert_int_equal(rig->bus->waiting_bytes, 0);
    }
}

static bool relieved;

static void relief(struct task *task)
{
    (void)task;
    relieved = true;
}

static void publishers_are_stopped_while_too_much_waits(void **state)
{
    enum { COUNT = 70 };
    struct part *parts = xcalloc(COUNT, sizeof(*parts));
    char *data = xmalloc(1 << 20);
    struct task task, at_once;
    (void)state;
    memset(data, '1', 1 << 20);
    task_init(&task, relief);
    task_init(&at_once, relief);
    relieved = false;
    for (size_t i = 0; i < COUNT; i++) {
        struct message *m =
            compose(&(struct publish_request){.topic = SLICE("a"), .data = {data, 1 << 20}});
        parts[i].publication.done = on_done;
        assert_int_equal(bus_is_congested(rig->bus), i > 63);
        bus_publish(rig->bus, &parts[i].publication, &m, 1);
    }
    bus_on_relief(rig->bus, &task);
    assert_false(relieved);
    bus_until(rig, relieved);
    assert_false(bus_is_congested(rig->bus));
    relieved = false;
    bus_on_relief(rig->bus, &at_once);
    bus_until(rig, relieved);
    bus_until(rig, parts[COUNT - 1].done);
    xfree(parts);
    xfree(data);
}

static void what_comes_too_late_is_refused(void **state)
{
    struct part x = {.publication = {.done = on_done}};
    (void)state;
    struct message *m = compose(&(struct publish_request){.topic = SLICE("a")});
    bus_until(rig, !rig->bus->jobs); /* what it looks at by itself when it is opened */
    bus_close(rig->bus);
    bus_publish(rig->bus, &x.publication, &m, 1);
    assert_false(x.done);
    bus_until(rig, rig->closed);
    bus_free(rig->bus);
    assert_true(x.done && x.fault == PUBLISH_FAILED);
    bus_rig_open_bus(rig);
}

/* Nobody knows what becomes of it; the message is the bus's until the store has answered. */
static void a_store_that_does_not_answer_keeps_nobody_waiting(void **state)
{
    struct part late = {.publication = {.done = on_done}};
    struct part next = {.publication = {.done = on_done}};
    (void)state;
    rig->bus->patience_ms = 40;
    memory_store_hold(rig->store, true);
    uint64_t before = bus_clock_ms();
    struct message *m = compose(&(struct publish_request){.topic = SLICE("a")});
    bus_publish(rig->bus, &late.publication, &m, 1);
    bus_until(rig, late.done);
    assert_true(bus_clock_ms() - before >= 40);
    assert_int_equal(late.fault, PUBLISH_FAILED);
    assert_true(strstr(late.why, "whether it is stored is not known") != NULL);
    m = compose(&(struct publish_request){.topic = SLICE("b")});
    bus_publish(rig->bus, &next.publication, &m, 1);
    assert_int_not_equal(rig->bus->waiting_bytes, 0);
    memory_store_hold(rig->store, false);
    bus_until(rig, next.done);
    assert_int_equal(next.fault, PUBLISH_OK);
    assert_int_equal(memory_last(rig->store), 2);
    assert_int_equal(rig->bus->waiting_bytes, 0);
}

/* --------------------------------------------------------------------- dead */

static void note(void *arg, const char *error)
{
    snprintf(arg, 200, "%s", error ? error : "done");
}

static uint64_t kill_one(const char *topic)
{
    assert_true(bus_rig_request(
        rig, &(struct publish_request){.topic = slice_of(topic),
                                       .key = SLICE("k"),
                                       .headers = SLICE("{\"x\":\"y\"}"),
                                       .data = SLICE("{\"big\":12345678901234567890}")}));
    bus_until(rig, one.held_count == 1);
    size_t before = memory_count(rig->store, SLICE("dead"));
    rig_settle(rig_first(&one), &(struct settlement){.verdict = VERDICT_DEAD});
    bus_until(rig, memory_count(rig->store, SLICE("dead")) == before + 1);
    return memory_last(rig->store);
}

static void a_dead_letter_is_tried_again_by_its_group_only(void **state)
{
    struct rig_owner two = {0};
    char said[200] = "", twice[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    bus_rig_group(rig, &two, "two", all, NULL);
    two.settles = true;
    uint64_t letter = kill_one("a.b");
    size_t before = two.delivered;
    bus_dead_retry(rig->bus, letter, note, said);
    bus_until(rig, *said);
    assert_string_equal(said, "done");
    bus_until(rig, one.held_count == 1);
    const struct message *m = rig_first(&one)->delivery->message;
    assert_true(slice_is(m->topic, "a.b") && slice_is(m->key, "k"));
    assert_true(slice_is(m->stream, "events") && slice_is(m->only, "one"));
    assert_true(slice_is(m->headers, "{\"x\":\"y\"}"));
    assert_true(slice_is(m->data, "{\"big\":12345678901234567890}"));
    assert_int_equal(rig_first(&one)->delivery->attempt, 1);
    assert_int_equal(memory_count(rig->store, SLICE("dead")), 0);
    bus_rig_linger(rig, 5);
    assert_int_equal(two.delivered, before);
    bus_dead_retry(rig->bus, letter, note, twice);
    bus_until(rig, *twice);
    assert_non_null(strstr(twice, "no dead letter"));
}

static void a_dead_letter_is_dropped_and_nothing_else_is(void **state)
{
    char said[200] = "", wrong[200] = "";
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    uint64_t letter = kill_one("a");
    bus_dead_drop(rig->bus, 1, note, wrong); /* that one is of the stream events */
    bus_until(rig, *wrong);
    assert_non_null(strstr(wrong, "no dead letter 1"));
    assert_non_null(memory_find(rig->store, 1));
    bus_dead_drop(rig->bus, letter, note, said);
    bus_until(rig, *said);
    assert_string_equal(said, "done");
    assert_null(memory_find(rig->store, letter));
}

/* ----------------------------------------------------------------- describe */

static void described(void *arg)
{
    *(bool *)arg = true;
}

static void everything_can_be_looked_at(void **state)
{
    static const char *const words[] = {
        "\"engine\":{\"name\":\"memory\",\"durability\":\"memory\"",
        "\"streams\":[{\"name\":\"events\"",
        "{\"name\":\"one\",\"topics\":[\">\"],\"streams\":[\"events\"],\"lag\":2,",
        "\"served\":true,\"in_flight\":1",
        "\"handled\":1,\"failed\":1",
        "\"retrying\":1",
        "\"run_ms\":{\"p50\":",
        "\"schedules\":[]",
    };
    struct buf out = {0};
    struct json_scan scan;
    struct json_value value;
    bool done = false;
    (void)state;
    bus_rig_group(rig, &one, "one", all, NULL);
    for (int i = 0; i < 3; i++)
        bus_rig_publish(rig, "a", "", "1");
    bus_until(rig, one.held_count == 3);
    rig_done(&one);
    rig_fail(&one, 60000);
    bus_until(rig, memory_put_off(rig->store, "events", "one") == 1);
    bus_describe(rig->bus, &out, described, &done);
    assert_false(done);
    bus_until(rig, done);
    json_scan_init(&scan, buf_slice(&out));
    if (!json_scan_value(&scan, &value) || !json_scan_done(&scan))
        fail_msg("no JSON: %s", buf_cstr(&out));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strstr(buf_cstr(&out), words[i]))
            fail_msg("%s\nis not in\n%s", words[i], buf_cstr(&out));
    buf_deinit(&out);
}

static void places_that_nobody_has_asked_for_are_shown_too(void **state)
{
    struct buf out = {0};
    bool done = false;
    (void)state;
    bus_rig_group(rig, &one, "gone", all, NULL);
    bus_rig_reopen(rig);
    bus_rig_publish(rig, "a", "", "1");
    bus_describe(rig->bus, &out, described, &done);
    bus_until(rig, done);
    assert_non_null(
        strstr(buf_cstr(&out), "{\"name\":\"gone\",\"streams\":[\"events\"],\"lag\":1,"));
    buf_deinit(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_published_is_told),
        TEST(a_message_says_where_it_belongs),
        TEST(what_is_published_within_a_handler_is_of_its_story),
        TEST(traces_go_on_and_are_begun),
        TEST(streams_take_their_topics),
        TEST(a_queue_has_its_limits_and_is_declared_when_it_is_used),
        TEST(queues_are_not_without_number),
        TEST(a_msgid_is_stored_once_and_a_delay_is_waited_for),
        TEST(faults_are_told_in_words),
        TEST(publishers_are_stopped_while_too_much_waits),
        TEST(a_store_that_does_not_answer_keeps_nobody_waiting),
        TEST(what_comes_too_late_is_refused),
        TEST(a_dead_letter_is_tried_again_by_its_group_only),
        TEST(a_dead_letter_is_dropped_and_nothing_else_is),
        TEST(everything_can_be_looked_at),
        TEST(places_that_nobody_has_asked_for_are_shown_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
