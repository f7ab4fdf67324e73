#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/compose.h"
#include "config/config.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* The configuration with one service, whose section holds these lines. */
static struct config *load(const char *lines, struct err *err)
{
    char text[2048];
    snprintf(text, sizeof(text), "[services.db]\ncommand = \"db\"\n%s\n", lines);
    folder_put("nodey.toml", text);
    return config_load(NULL, err);
}

static struct config *must_load(const char *lines)
{
    struct err err = {0};
    struct config *c = load(lines, &err);
    if (!c)
        fail_msg("%s: %s", lines, err.text);
    assert_true(c->workers[0].is_service);
    return c;
}

static void assert_fails(const char *lines, const char *sentence)
{
    struct err err = {0};
    struct config *c = load(lines, &err);
    if (c || strcmp(err.text, sentence) != 0)
        fail_msg("%s: %s", lines, c ? "it was taken" : err.text);
}

static void a_service_has_defaults_of_its_own(void **state)
{
    (void)state;
    struct config *c = must_load("");
    const struct worker_config *w = &c->workers[0];
    assert_string_equal(w->command.items[0], "db");
    assert_int_equal(w->instances, 1);
    assert_int_equal(w->instances_min, 1);
    assert_int_equal(w->port, 0);
    assert_int_equal(w->restart.when, RESTART_ALWAYS);
    assert_int_equal(w->stop_signal, SIGTERM);
    assert_true(w->no_new_privileges);
    assert_int_equal(w->memory | w->max_memory | w->cpus | w->pids | w->nofile | w->core, 0);
    assert_int_equal(w->healthcheck.interval, 10000);
    assert_int_equal(w->healthcheck.retries, 3);
    assert_int_equal(w->healthcheck.start_interval, 250);
    assert_int_equal(w->healthcheck.test.count, 0);
    assert_false(w->healthcheck.disabled);
    config_release(c);
}

static void restart_has_composes_words(void **state)
{
    static const struct {
        const char *line;
        uint32_t when, most;
    } cases[] = {
        {"restart = \"no\"", RESTART_NO, 0},
        {"restart = false", RESTART_NO, 0},
        {"restart = \"always\"", RESTART_ALWAYS, 0},
        {"restart = \"on-failure\"", RESTART_ON_FAILURE, 0},
        {"restart = \"on-failure:3\"", RESTART_ON_FAILURE, 3},
        {"restart = \"unless-stopped\"", RESTART_UNLESS_STOPPED, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *c = must_load(cases[i].line);
        assert_int_equal(c->workers[0].restart.when, cases[i].when);
        assert_int_equal(c->workers[0].restart.most, cases[i].most);
        config_release(c);
    }
}

static void a_port_is_a_number_or_chosen(void **state)
{
    (void)state;
    struct config *c = must_load("port = \"auto\"\ninstances = 3");
    assert_int_equal(c->workers[0].port, PORT_AUTO);
    config_release(c);
    c = must_load("port = 5432");
    assert_int_equal(c->workers[0].port, 5432);
    config_release(c);
}

static void limits_have_units(void **state)
{
    (void)state;
    struct config *c = must_load("memory = \"100M\"\ncpus = 0.25\npids = 40\ncore = \"off\"");
    assert_int_equal(c->workers[0].memory, 100 << 20);
    assert_int_equal(c->workers[0].max_memory, (100 << 20) / 10 * 9);
    assert_int_equal(c->workers[0].cpus, 250);
    assert_int_equal(c->workers[0].pids, 40);
    config_release(c);
    c = must_load("memory = \"100M\"\nmax_memory = \"50M\"\ncpus = \"1.5\"");
    assert_int_equal(c->workers[0].max_memory, 50 << 20);
    assert_int_equal(c->workers[0].cpus, 1500);
    config_release(c);
    c = must_load("memory = \"off\"\nmemory_reservation = 0");
    assert_int_equal(c->workers[0].memory, 0);
    assert_int_equal(c->workers[0].memory_reservation, 0);
    config_release(c);
}

static void dependencies_are_names_or_conditions(void **state)
{
    (void)state;
    struct config *c = must_load("depends_on = [\"a\", \"b\"]\n"
                                 "[services.a]\ncommand = \"a\"\n"
                                 "[services.b]\ncommand = \"b\"\n");
    const struct dependency_list *list = &c->workers[0].depends_on;
    assert_int_equal(list->count, 2);
    assert_string_equal(list->items[1].name, "b");
    assert_int_equal(list->items[1].condition, DEPENDENCY_STARTED);
    assert_true(list->items[1].required);
    config_release(c);
    c = must_load("depends_on = { a = { condition = \"service_completed_successfully\", "
                  "required = false, restart = true }, b = \"service_healthy\" }\n"
                  "[services.a]\ncommand = \"a\"\nrestart = \"no\"\n"
                  "[services.b]\ncommand = \"b\"\nport = 3001\n");
    list = &c->workers[0].depends_on;
    assert_string_equal(list->items[0].name, "a");
    assert_int_equal(list->items[0].condition, DEPENDENCY_COMPLETED);
    assert_false(list->items[0].required);
    assert_true(list->items[0].restart);
    assert_int_equal(list->items[1].condition, DEPENDENCY_HEALTHY);
    config_release(c);
}

static void a_test_is_written_as_in_compose(void **state)
{
    static const struct {
        const char *test, *first, *last;
        size_t count;
    } cases[] = {
        {"[\"CMD\", \"redis-cli\", \"ping\"]", "redis-cli", "ping", 2},
        {"[\"redis-cli\", \"ping\"]", "redis-cli", "ping", 2},
        {"[\"CMD-SHELL\", \"a && b\"]", "/bin/sh", "a && b", 3},
        {"\"a || exit 1\"", "/bin/sh", "a || exit 1", 3},
    };

    char line[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(line, sizeof(line), "healthcheck = { test = %s, retries = 5 }", cases[i].test);
        struct config *c = must_load(line);
        const struct healthcheck_config *h = &c->workers[0].healthcheck;
        assert_int_equal(h->test.count, cases[i].count);
        assert_string_equal(h->test.items[0], cases[i].first);
        assert_string_equal(h->test.items[h->test.count - 1], cases[i].last);
        assert_int_equal(h->retries, 5);
        assert_int_equal(h->timeout, 5000);
        config_release(c);
    }
    struct config *c = must_load("healthcheck = { test = \"NONE\" }");
    assert_true(c->workers[0].healthcheck.disabled);
    config_release(c);
    c = must_load("healthcheck = { test = [\"NONE\"] }");
    assert_true(c->workers[0].healthcheck.disabled);
    config_release(c);
}

static void signals_go_by_many_names(void **state)
{
    (void)state;
    assert_int_equal(compose_signal(SLICE("SIGINT")), SIGINT);
    assert_int_equal(compose_signal(SLICE("int")), SIGINT);
    assert_int_equal(compose_signal(SLICE("9")), SIGKILL);
    assert_int_equal(compose_signal(SLICE("SIGFOO")), 0);
    assert_int_equal(compose_signal(SLICE("SIG")), 0);
    assert_int_equal(compose_signal(SLICE("")), 0);
    struct config *c = must_load("stop_signal = \"SIGQUIT\"");
    assert_int_equal(c->workers[0].stop_signal, SIGQUIT);
    config_release(c);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    static const struct {
        const char *lines, *sentence;
    } cases[] = {
        {"restart = \"sometimes\"",
         "nodey.toml:3:11: restart must be \"no\", \"always\", \"on-failure\", "
         "\"on-failure:3\" or \"unless-stopped\", not the string \"sometimes\""},
        {"restart = \"on-failure:0\"",
         "nodey.toml:3:11: restart must be \"no\", \"always\", \"on-failure\", "
         "\"on-failure:3\" or \"unless-stopped\", not the string \"on-failure:0\""},
        {"port = 70000",
         "nodey.toml:3:8: port must be a port 1..65535, or \"auto\", not the number 70000"},
        {"port = \"3000\"",
         "nodey.toml:3:8: port must be a port 1..65535, or \"auto\", not the string \"3000\""},
        {"port = 3000\ninstances = 2",
         "nodey.toml:3:8: 2 instances cannot all listen on port 3000: write port = \"auto\", "
         "and let them listen on the variable PORT"},
        {"cpus = -1", "nodey.toml:3:8: cpus must be a number of CPUs such as 2 or 0.5, not the "
                      "number -1"},
        {"cpus = nan", "nodey.toml:3:8: cpus must be a number of CPUs such as 2 or 0.5, not "
                       "the number nan"},
        {"stop_signal = \"SIGFOO\"",
         "nodey.toml:3:15: stop_signal must be the name of a signal such as \"SIGINT\", not "
         "the string \"SIGFOO\""},
        {"image = \"redis\"",
         "nodey.toml:3:1: unknown key \"image\" in [services.db]: nodey runs commands of this "
         "machine, and no images: nodey import makes a nodey.toml of a compose file"},
        {"memory = \"512\"",
         "nodey.toml:3:10: memory must be 1M..1024G, not the string \"512\""},
        {"memory = 512", "nodey.toml:3:10: memory must be 1M..1024G, not the number 512"},
        {"memory_reservation = \"1023K\"",
         "nodey.toml:3:22: memory_reservation must be 1M..1024G, not the string \"1023K\""},
        {"memory = \"1M\"\nmax_memory = \"2M\"",
         "nodey.toml:4:14: max_memory must not exceed memory"},
        {"healthcheck = { path = \"/h\" }",
         "nodey.toml:3:24: path is asked at the service's port, and [services.db] has no port"},
        {"healthcheck = { test = \"a\", tcp = \":1\" }",
         "nodey.toml:3:29: a healthcheck has a test, a path or a tcp: one of them must go"},
        {"healthcheck = { retry = 3 }",
         "nodey.toml:3:17: unknown key \"retry\" in healthcheck; did you mean \"retries\"?"},
        {"healthcheck = { test = [] }",
         "nodey.toml:3:24: test must be a command for a shell, a list such as [\"CMD\", "
         "\"pg_isready\"], or \"NONE\", not a list"},
        {"depends_on = { a = \"ready\" }",
         "nodey.toml:3:20: condition must be \"service_healthy\", \"service_started\" or "
         "\"service_completed_successfully\", not the string \"ready\""},
        {"instances = { min = 3, max = 2 }",
         "nodey.toml:3:21: instances must be a whole number 1..1024, or { min = 1, max = 8 }, "
         "not the number 3"},
        {"instances = { most = 2 }",
         "nodey.toml:3:15: unknown key \"most\" in instances: it has min and max"},
        {"working_dir = \"x\"", "nodey.toml:3:1: unknown key \"working_dir\" in [services.db]; "
                                "it is called cwd here: cwd = \"/srv/shop\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_fails(cases[i].lines, cases[i].sentence);
}

static void assert_loads(const char *text)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    struct config *c = config_load(NULL, &err);
    if (!c)
        fail_msg("%s", err.text);
    config_release(c);
}

static void a_port_is_one_programs_alone(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[services.a]\ncommand = \"x\"\nport = 3001\n[services.b]\ncommand = \"x\"\n"
         "port = 3001\n",
         "nodey.toml:6:8: port 3001 is that of service a already, and only one can listen "
         "there: "
         "give b another, or \"auto\""},
        {"[services.a]\ncommand = \"x\"\nport = 3001\nprofiles = [\"p\"]\n[services.b]\n"
         "command = \"x\"\nport = 3001\n",
         "nodey.toml:7:8: port 3001 is that of service a already, and only one can listen "
         "there: "
         "give b another, or \"auto\""},
        {"[services.a]\ncommand = \"x\"\nport = 8000\n",
         "nodey.toml:3:8: port 8000 of service a is where nodey itself listens (listen of "
         "[server] is \"127.0.0.1:8000\"): one of them must have another"},
        {"[server]\nlisten = \"9000\"\n[services.a]\ncommand = \"x\"\nport = 9000\n",
         "nodey.toml:5:8: port 9000 of service a is where nodey itself listens (listen of "
         "[server] is \"9000\"): one of them must have another"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        folder_put("nodey.toml", cases[i].text);
        assert_null(config_load(NULL, &err));
        assert_string_equal(err.text, cases[i].sentence);
    }
    /* Alternatives, of which one at a time is asked for; another address; and ports of all. */
    assert_loads(
        "[services.a]\ncommand = \"x\"\nport = 3001\nprofiles = [\"p\"]\n[services.b]\n"
        "command = \"x\"\nport = 3001\nprofiles = [\"q\"]\n");
    assert_loads("[server]\nlisten = \"10.1.2.3:9000\"\n[services.a]\ncommand = \"x\"\n"
                 "port = 9000\n");
    assert_loads("[server]\nlisten = \"unix:s\"\n[services.a]\ncommand = \"x\"\nport = "
                 "\"auto\"\n[services.b]\ncommand = \"x\"\nport = \"auto\"\n");
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_service_has_defaults_of_its_own),
        IN_FOLDER(restart_has_composes_words),
        IN_FOLDER(a_port_is_a_number_or_chosen),
        IN_FOLDER(limits_have_units),
        IN_FOLDER(dependencies_are_names_or_conditions),
        IN_FOLDER(a_test_is_written_as_in_compose),
        IN_FOLDER(signals_go_by_many_names),
        IN_FOLDER(a_port_is_one_programs_alone),
        IN_FOLDER(what_is_wrong_is_said_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
