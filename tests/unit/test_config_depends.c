/* depends_on: names that nobody has, circles, and what can never complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static void assert_fails(const char *text, const char *sentence)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    struct config *config = config_load(NULL, &err);
    assert_null(config);
    assert_string_equal(err.text, sentence);
}

static struct config *load(const char *text)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    struct config *config = config_load(NULL, &err);
    if (!config)
        fail_msg("%s", err.text);
    return config;
}

#define WORKER(name)  "[workers." name "]\ncommand = \"x\"\n"
#define SERVICE(name) "[services." name "]\ncommand = \"x\"\n"

static void workers_and_services_may_need_each_other(void **state)
{
    (void)state;
    struct config *c = load(SERVICE("db") WORKER(
        "web") "depends_on = [\"db\", \"cache\"]\n" SERVICE("cache") "depends_on = \"db\"\n");
    const struct worker_config *web = config_worker(c, "web");
    assert_int_equal(web->depends_on.count, 2);
    assert_string_equal(web->depends_on.items[1].name, "cache");
    config_release(c);
}

static void a_name_that_nobody_has_is_an_error(void **state)
{
    (void)state;
    assert_fails(SERVICE("redis") WORKER("web") "depends_on = [\"redis\",\n  \"redsi\"]\n",
                 "nodey.toml:6:3: depends_on \"redsi\": there is no worker or service of that "
                 "name; did you mean \"redis\"?");
    assert_fails(WORKER("web") "depends_on = { postgres = \"service_started\" }\n",
                 "nodey.toml:3:16: depends_on \"postgres\": there is no worker or service of "
                 "that name");
    assert_fails(WORKER("web") "depends_on = \"x1\"\n[services.x2]\ncommand = \"x\"\n",
                 "nodey.toml:3:14: depends_on \"x1\": there is no worker or service of that "
                 "name; did you mean \"x2\"?");
    assert_fails("[defaults]\ndepends_on = [\"gone\"]\n" WORKER("web"),
                 "nodey.toml:2:15: depends_on \"gone\": there is no worker or service of that "
                 "name");
}

static void nobody_waits_for_himself(void **state)
{
    (void)state;
    assert_fails(WORKER("web") "depends_on = [\"web\"]\n",
                 "nodey.toml:3:15: web cannot wait for itself");
}

static void a_circle_is_shown_whole(void **state)
{
    (void)state;
    assert_fails(WORKER("z") "depends_on = \"a\"\n" WORKER("a") "depends_on = \"b\"\n" WORKER(
                     "b") "depends_on = \"c\"\n" WORKER("c") "depends_on = [\"z1\", "
                                                             "\"a\"]\n" WORKER("z1"),
                 "nodey.toml:12:21: these wait for each other, and none would ever start: "
                 "a -> b -> c -> a");
}

static void a_diamond_is_no_circle(void **state)
{
    (void)state;
    config_release(load(WORKER("a") "depends_on = [\"b\", \"c\"]\n" WORKER(
        "b") "depends_on = \"d\"\n" WORKER("c") "depends_on = \"d\"\n" WORKER("d")));
}

static void what_is_to_complete_must_be_able_to(void **state)
{
    static const char web[] =
        WORKER("web") "depends_on = { m = \"service_completed_successfully\" }\n";
    char text[512];
    (void)state;
    snprintf(text, sizeof(text), "%s%s", web, SERVICE("m"));
    assert_fails(text, "nodey.toml:3:16: m never completes: it is started again whenever it "
                       "ends; give it restart = \"no\" or \"on-failure\"");
    snprintf(text, sizeof(text), "%s%srestart = \"on-failure:3\"\n", web, SERVICE("m"));
    config_release(load(text));
}

static void what_is_to_be_healthy_must_have_a_check(void **state)
{
    static const char web[] = WORKER("web") "depends_on = { m = \"service_healthy\" }\n";
    static const char *const checked[] = {
        SERVICE("m") "port = 5432\n", SERVICE("m") "port = \"auto\"\n",
        SERVICE("m") "healthcheck = { test = \"true\" }\n",
        SERVICE("m") "healthcheck = { tcp = \"127.0.0.1:5432\" }\n", WORKER("m")};
    char text[512];
    (void)state;
    static const char sentence[] =
        "nodey.toml:3:16: nothing tells whether m is healthy: give it "
        "a healthcheck or a port, or write service_started here";
    snprintf(text, sizeof(text), "%s%s", web, SERVICE("m"));
    assert_fails(text, sentence);
    snprintf(text, sizeof(text), "%s%sport = 5432\nhealthcheck = { test = \"NONE\" }\n", web,
             SERVICE("m"));
    assert_fails(text, sentence);
    for (size_t i = 0; i < ARRAY_LEN(checked); i++) {
        snprintf(text, sizeof(text), "%s%s", web, checked[i]);
        config_release(load(text));
    }
}

static void a_run_for_one_command_has_no_services(void **state)
{
    (void)state;
    struct config *c = load(SERVICE("db") "port = 5432\n" WORKER(
        "web") "depends_on = \"db\"\n"
               "[[routes]]\npath = \"/db\"\nto = \"db\"\n"
               "[[routes]]\npath = \"/web\"\nto = \"web\"\n");
    assert_int_equal(c->worker_count, 2);
    config_leave_services_out(c);
    assert_int_equal(c->worker_count, 1);
    assert_string_equal(c->workers[0].name, "web");
    assert_int_equal(c->workers[0].depends_on.count, 0);
    assert_int_equal(c->route_count, 1);
    assert_string_equal(c->routes[0].to, "web");
    config_release(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_and_services_may_need_each_other),
        cmocka_unit_test(a_name_that_nobody_has_is_an_error),
        cmocka_unit_test(nobody_waits_for_himself),
        cmocka_unit_test(a_circle_is_shown_whole),
        cmocka_unit_test(a_diamond_is_no_circle),
        cmocka_unit_test(what_is_to_complete_must_be_able_to),
        cmocka_unit_test(what_is_to_be_healthy_must_have_a_check),
        cmocka_unit_test(a_run_for_one_command_has_no_services),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
