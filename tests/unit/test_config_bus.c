/* [bus], [streams], [queues], [schedule] and the routes of events: what they say, and what is
 * wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/canonical.h"
#include "config/config.h"
#include "config/diff.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

#define FIB  "[workers.fib]\ncommand = \"./fib\"\n"
#define HOUR (UINT64_C(3600) * 1000)

static struct config *load(const char *text)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    struct config *c = config_load(NULL, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

static void assert_fails(const char *text, const char *sentence)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    assert_null(config_load(NULL, &err));
    if (!strstr(err.text, sentence))
        fail_msg("%s\nnot: %s", err.text, sentence);
}

static void without_a_word_there_are_defaults(void **state)
{
    (void)state;
    struct config *c = load(FIB);
    assert_false(c->bus.configured);
    assert_int_equal(c->bus.durability, 0);
    assert_int_equal(c->bus.max_bytes, 1 << 30);
    assert_int_equal(c->bus.max_age, 7 * 24 * HOUR);
    assert_int_equal(c->bus.dedupe_window, 120000);
    assert_int_equal(c->bus.min_free, 64 << 20);
    assert_int_equal(c->bus.attempts, 10);
    assert_int_equal(c->bus.backoff.count, 6);
    assert_string_equal(c->bus.backoff.items[5], "1h");
    assert_int_equal(c->stream_count + c->queue_count + c->schedule_count, 0);
    config_release(c);
}

static void what_a_section_leaves_out_is_the_bus_s(void **state)
{
    (void)state;
    struct config *c =
        load("[bus]\ndurability = \"os\"\nmax_bytes = \"2G\"\nmax_age = \"off\"\n"
             "[streams.sensors]\ntopics = [\"sensor.>\"]\ndiscard = \"old\"\n"
             "durability = \"memory\"\n"
             "[streams.audit]\ntopics = \"audit.*\"\nmax_age = \"1h\"\n"
             "[queues.thumb]\ntimeout = \"15m\"\nbackoff = [\"1s\", \"1m\"]\n"
             "[queues.\"mail.fast\"]\nattempts = 3\n" FIB);
    assert_true(c->bus.configured);
    assert_int_equal(c->stream_count, 2);
    assert_string_equal(c->streams[0].name, "sensors");
    assert_true(c->streams[0].discard_old);
    assert_int_equal(c->streams[0].durability, 2);
    assert_int_equal(c->streams[0].max_age, 0);
    assert_int_equal(c->streams[1].durability, 1);
    assert_int_equal(c->streams[1].max_age, HOUR);
    assert_int_equal(c->streams[1].max_bytes, UINT64_C(2) << 30);
    assert_false(c->streams[1].discard_old);
    assert_int_equal(c->queue_count, 2);
    assert_int_equal(c->queues[0].timeout, 900000);
    assert_int_equal(c->queues[0].attempts, 0);
    assert_int_equal(c->queues[0].backoff.count, 2);
    assert_string_equal(c->queues[1].name, "mail.fast");
    assert_int_equal(c->queues[1].attempts, 3);
    assert_int_equal(c->queues[1].durability, 1);
    config_release(c);
}

static void schedules_are_read(void **state)
{
    (void)state;
    struct config *c =
        load("[schedule.nightly]\ncron = \"30 2 * * *\"\npublish = \"report.due\"\n"
             "data = '{\"a\": [1, 2]}'\nkey = \"r\"\ntimezone = \"UTC\"\n"
             "[schedule.often]\nevery = \"15m\"\nenqueue = \"cleanup\"\n" FIB);
    assert_int_equal(c->schedule_count, 2);
    assert_string_equal(c->schedules[0].cron, "30 2 * * *");
    assert_string_equal(c->schedules[0].topic, "report.due");
    assert_string_equal(c->schedules[0].data, "{\"a\": [1, 2]}");
    assert_null(c->schedules[0].queue);
    assert_int_equal(c->schedules[1].every, 900000);
    assert_string_equal(c->schedules[1].queue, "cleanup");
    assert_string_equal(c->schedules[1].timezone, "local");
    config_release(c);
}

static void routes_of_events_need_no_worker(void **state)
{
    (void)state;
    struct config *c =
        load("[[routes]]\npath = \"/publish/*\"\npublish = [\"order.*\", \"a\"]\n"
             "[[routes]]\npath = \"/live\"\nevents = \"comment.>\"\n");
    assert_int_equal(c->route_count, 2);
    assert_int_equal(c->routes[0].publish.count, 2);
    assert_string_equal(c->routes[0].methods.items[0], "POST");
    assert_int_equal(c->routes[1].events.count, 1);
    assert_string_equal(c->routes[1].methods.items[0], "GET");
    assert_null(c->routes[1].to);
    config_release(c);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;

    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"bus = 5\n" FIB, "bus must be a section: write [bus]"},
        {"[bus]\nretries = 5\n" FIB, "nodey.toml:2:1: unknown key \"retries\" in [bus]; it is "
                                     "called attempts here"},
        {"[bus]\nattempts = 0\n" FIB, "attempts must be"},
        {"[bus]\ndurability = \"disk\"\n" FIB,
         "durability must be \"fsync\", \"os\" or \"memory\""},
        {"[bus]\nbackoff = [\"1s\", \"soon\"]\n" FIB,
         "nodey.toml:2:18: backoff must hold durations such as \"1s\" or \"5m\", not \"soon\""},
        {"[bus]\nbackoff = []\n" FIB, "backoff must hold 1 to 64 durations"},
        {"streams = 1\n" FIB, "streams must be sections: write [streams.NAME] for each"},
        {"[streams]\ntopics = [\"a\"]\n" FIB, "every stream has a section of its own"},
        {"[streams.a]\n" FIB, "[streams.a] needs topics: topics = [\"a.>\"]"},
        {"[streams.a]\ntopics = [\"a.b\", \"a..b\"]\n" FIB,
         "nodey.toml:2:18: topics \"a..b\": it has a dot at its beginning or end"},
        {"[streams.events]\ntopics = [\"a\"]\n" FIB, "that stream is there anyway"},
        {"[streams.\"queue.a\"]\ntopics = [\"a\"]\n" FIB, "queues are written [queues.a]"},
        {"[streams.a]\ntopics = [\"x.*\"]\n[streams.b]\ntopics = [\"q\", \"*.y\"]\n" FIB,
         "nodey.toml:4:16: topics \"*.y\" of [streams.b] and \"x.*\" of [streams.a] overlap"},
        {"[queues.\"a b\"]\n" FIB, "\"a b\" is no name for a queue"},
        {"[queues.a]\ntopic = 1\n" FIB, "unknown key \"topic\" in [queues.a]"},
        {"[schedule.a]\nevery = \"1m\"\n" FIB, "[schedule.a] needs publish or enqueue"},
        {"[schedule.a]\npublish = \"a\"\n" FIB, "[schedule.a] needs cron or every"},
        {"[schedule.a]\ncron = \"@daily\"\nevery = \"1m\"\npublish = \"a\"\n" FIB,
         "nodey.toml:3:1: [schedule.a] has cron and every: one of them must go"},
        {"[schedule.a]\nevery = \"1m\"\npublish = \"a.*\"\n" FIB,
         "publish \"a.*\": between its"},
        {"[schedule.a]\nevery = \"1m\"\npublish = \"a\"\ndata = \"{a: 1}\"\n" FIB,
         "nodey.toml:4:8: data must be JSON"},
        {"[[routes]]\npath = \"/p/*\"\npublish = \"a\"\nto = \"fib\"\n" FIB,
         "served by nodey itself: to must go"},
        {"[[routes]]\npath = \"/p\"\npublish = \"a\"\n",
         "must end in \"/*\", which is the topic"},
        {"[[routes]]\npath = \"/p/*\"\npublish = \"a\"\nevents = \"b\"\n", "make two of it"},
        {"[[routes]]\npath = \"/p/*\"\npublish = \"a\"\nmethod = \"GET\"\n",
         "a route with publish takes POST, not GET"},
        {"[[routes]]\npath = \"/p\"\nevents = [\"a*\"]\n", "events \"a*\": between its dots"},
        {"[[routes]]\npath = \"/p\"\nevents = \"a\"\ncache = \"1s\"\n",
         "cache belongs to other routes, and this one has events"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_fails(rows[i].text, rows[i].sentence);
}

static int differ(const char *before, const char *after, bool *bus)
{
    struct arena arena = {0};
    struct config_diff diff;
    struct config *a = load(before), *b = load(after);
    int count = config_diff(&arena, a, b, &diff);
    *bus = diff.bus;
    arena_deinit(&arena);
    config_release(a);
    config_release(b);
    return count;
}

static void a_difference_is_seen(void **state)
{
    (void)state;

    static const char base[] =
        "[bus]\nattempts = 5\n[streams.a]\ntopics = [\"a\"]\n"
        "[queues.q]\n[schedule.s]\nevery = \"1m\"\nenqueue = \"q\"\n" FIB;

    static const char *const others[] = {
        "[bus]\nattempts = 6\n[streams.a]\ntopics = [\"a\"]\n[queues.q]\n[schedule.s]\nevery = "
        "\"1m\"\nenqueue = \"q\"\n" FIB,
        "[bus]\nattempts = 5\n[streams.a]\ntopics = [\"b\"]\n[queues.q]\n[schedule.s]\nevery = "
        "\"1m\"\nenqueue = \"q\"\n" FIB,
        "[bus]\nattempts = 5\n[streams.b]\ntopics = [\"a\"]\n[queues.q]\n[schedule.s]\nevery = "
        "\"1m\"\nenqueue = \"q\"\n" FIB,
        "[bus]\nattempts = 5\n[streams.a]\ntopics = [\"a\"]\n[queues.q]\ntimeout = "
        "\"1s\"\n[schedule.s]\nevery = \"1m\"\nenqueue = \"q\"\n" FIB,
        "[bus]\nattempts = 5\n[streams.a]\ntopics = [\"a\"]\n[queues.q]\n[schedule.s]\nevery = "
        "\"2m\"\nenqueue = \"q\"\n" FIB,
        FIB,
    };
    bool bus;
    assert_int_equal(differ(base, base, &bus), 0);
    assert_false(bus);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(differ(base, others[i], &bus), 1);
        assert_true(bus);
    }
}

static void written_out_it_is_the_same(void **state)
{
    (void)state;

    static const char text[] =
        "[bus]\nbackoff = [\"1s\", \"9m\"]\n[streams.a]\ntopics = [\"a.>\"]\ndiscard = "
        "\"old\"\n"
        "[queues.\"q.r\"]\nattempts = 2\n[schedule.s]\ncron = \"@daily\"\npublish = \"a.b\"\n"
        "data = '{\"a\": \"$x\"}'\n[[routes]]\npath = \"/p/*\"\npublish = [\"a.*\"]\n" FIB;
    struct buf out = {0};
    struct config *c = load(text);
    json_t *tree = config_canonical(c, CANONICAL_SECRETS);
    config_canonical_toml(tree, &out);
    json_decref(tree);
    config_release(c);
    bool bus;
    assert_int_equal(differ(text, buf_cstr(&out), &bus), 0);
    buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_word_there_are_defaults, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_a_section_leaves_out_is_the_bus_s, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(schedules_are_read, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(routes_of_events_need_no_worker, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(a_difference_is_seen, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(written_out_it_is_the_same, folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
