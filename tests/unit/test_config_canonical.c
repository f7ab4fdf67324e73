#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/canonical.h"
#include "config/diff.h"
#include "config/secrets.h"
#include "config/settings.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static struct config *load(const char *file)
{
    struct err err;
    struct config *config = config_load(file, &err);
    if (!config)
        fail_msg("%s", err.text);
    return config;
}

static int differences(const struct config *a, const struct config *b)
{
    struct arena arena = {0};
    struct config_diff diff;
    int count = config_diff(&arena, a, b, &diff);
    arena_deinit(&arena);
    return count;
}

/* The configuration as TOML; the caller frees the buf. */
static void print(const struct config *config, unsigned flags, struct buf *out)
{
    json_t *tree = config_canonical(config, flags);
    config_canonical_toml(tree, out);
    json_decref(tree);
}

/* What is printed loads again, and to the same. */
static void assert_comes_back(const struct config *config, const char *about)
{
    struct buf text = {0};
    struct err err;
    print(config, CANONICAL_SECRETS, &text);
    folder_put("again.toml", buf_cstr(&text));
    struct config *again = config_load("again.toml", &err);
    if (!again)
        fail_msg("%s: %s", about, err.text);
    if (differences(config, again) != 0)
        fail_msg("%s: another configuration came back:\n%s", about, buf_cstr(&text));
    config_release(again);
    buf_deinit(&text);
}

static void put_all_files(void)
{
    folder_put("workers/hello.py", "import nodey\n");
    folder_put("workers/fib.py", "import nodey\n");
    folder_write("workers/other", "#!/bin/sh\n", 10, 0755);
    folder_put("workers/shop/manage.py", "");
    folder_put("workers/shop/shop/__init__.py", "");
    folder_put("workers/shop/shop/wsgi.py", "application = get_wsgi_application()\n");
    folder_put("workers/web/package.json", "{\"main\": \"server.js\"}");
    folder_put("workers/web/server.js",
               "const app = require('express')();\napp.listen(process.env.PORT);\n");
    folder_put("api.py", "");
    folder_put("dist/index.html", "");
    folder_put("sub/x.sh", "");
    folder_put("common.env", "A=common\nCOMMON=1\n");
    folder_put(".env", "A=1\nREDIS_PASSWORD=topsecret99\nPRICE='5$x'\n");
    folder_put("sub/.env", "B=2\nA=3\n");
    folder_put("routes.json", "[{\"path\": \"/listed\", \"method\": \"GET\", "
                              "\"target\": \"hello\"}]");
    folder_put("sub/nodey.toml", "[defaults]\nmax_requests = 7\n"
                                 "[workers.inner]\ncommand = \"cat ${B}\"\n"
                                 "[workers.inner.env]\nC = \"q\"\n");
}

static const char everything[] =
    "include = [\"sub/nodey.toml\"]\n"
    "[server]\n"
    "listen = \":9000\"\ncompress = []\nsecrets = [\"*_DSN\"]\nspin = \"50us\"\n"
    "shutdown_timeout = \"1m30s\"\n"
    "[workers.api]\n"
    "script = \"api.py\"\ninstances = { min = 1, max = 3 }\nthreads = 4\n"
    "env_file = \"common.env\"\nmemory = \"512M\"\ncpus = 0.25\n"
    "env = { LEVEL = \"a \\\"b\\\" \\\\ $$x ${A}\\nsecond\", API_KEY = \"hunter2hunter2\", "
    "DB = \"postgres://u:pw12345@h/d\", MAIN_DSN = \"dsnvalue1\" }\n"
    "[services.redis]\n"
    "command = \"redis-server --requirepass ${REDIS_PASSWORD} --api-key=abc ''\"\n"
    "port = 6379\nstop_signal = \"INT\"\nrestart = \"on-failure:3\"\n"
    "healthcheck = { test = \"redis-cli ping | grep PONG\", interval = \"3s\" }\n"
    "[services.web]\n"
    "command = [\"node\", \"web.js\"]\nport = \"auto\"\ninstances = 2\n"
    "healthcheck = { path = \"/health\" }\nprofiles = [\"debug\"]\n"
    "depends_on = { redis = { condition = \"service_healthy\", required = false }, "
    "once = { condition = \"completed\", restart = true } }\n"
    "[services.once]\ncommand = \"true\"\nrestart = \"no\"\n"
    "healthcheck = { test = \"NONE\" }\n"
    "[services.\"a.b\"]\ncommand = \"sleep 1\"\n"
    "[[routes]]\npath = \"/api/*\"\nto = \"web\"\nstrip_prefix = \"/api\"\n"
    "[[routes]]\npath = \"/x\"\nmethod = \"post\"\n"
    "to = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\npolicy = \"ip_hash\"\n"
    "[[routes]]\npath = \"/s/*\"\nroot = \"dist\"\nspa = true\nindex = [\"a.html\"]\n"
    "[[routes]]\npath = \"/t\"\nto = \"api:Token\"\ncache = \"5s\"\ntimeout = \"1s\"\n";

static void what_is_printed_is_the_same_configuration(void **state)
{
    (void)state;
    put_all_files();
    folder_put("nodey.toml", everything);
    struct config *config = load("nodey.toml");
    assert_non_null(config_worker(config, "shop"));
    assert_non_null(config_worker(config, "web"));
    assert_non_null(config_worker(config, "inner"));
    assert_comes_back(config, "everything");
    config_release(config);
}

static void a_folder_without_a_file_is_the_same_configuration(void **state)
{
    (void)state;
    put_all_files();
    struct config *config = load(NULL);
    assert_null(config->file);
    assert_comes_back(config, "the folder");
    config_release(config);
}

/* A setting that this test cannot give its example: the machine has no such folder. */
static bool needs_a_machine(const struct setting *s)
{
    return strcmp(s->key, "cwd") == 0 || strcmp(s->key, "venv") == 0;
}

/* A configuration with that line in it; `target` is where a route goes. */
static void put_example(const struct section *section, const struct setting *s,
                        const char *target)
{
    struct buf text = {0};
    const char *program = strcmp(s->key, "script") == 0 || strcmp(s->key, "command") == 0 ||
                                  strcmp(s->key, "app") == 0
                              ? NULL
                              : s->key;
    buf_adds(&text, "[services.db]\ncommand = \"true\"\nport = 1\n");
    if (section == &section_server)
        buf_addf(&text, "[server]\n%s\n", s->example);
    else if (section == &section_worker)
        buf_addf(&text, "[workers.it]\n%s\n%s\n", program ? "script = \"api.py\"" : "",
                 s->example);
    else if (section == &section_service)
        buf_addf(&text, "[services.it]\n%s\n%s\n%s\n", program ? "command = \"true\"" : "",
                 strcmp(s->key, "port") == 0 ? "" : "port = \"auto\"", s->example);
    else
        buf_addf(&text, "[[routes]]\n%s\n%s\n%s\n",
                 strcmp(s->key, "path") == 0 ? "" : "path = \"/api/*\"", target,
                 *target && strncmp(s->key, target, strcspn(target, " ")) == 0 ? ""
                                                                               : s->example);
    folder_put("nodey.toml", buf_cstr(&text));
    buf_deinit(&text);
}

/* Of a route: to a service, to a worker, to files, or to none of them, as it may. */
static void assert_example_comes_back(const struct section *section, const struct setting *s)
{
    static const char *const targets[] = {"to = \"db\"", "to = \"hello\"", "root = \"dist\"",
                                          ""};
    struct config *config = NULL;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(targets) && !config; i++) {
        put_example(section, s, targets[i]);
        config = config_load("nodey.toml", &err);
    }
    if (!config)
        fail_msg("%s: %s", s->example, err.text);
    assert_comes_back(config, s->example);
    config_release(config);
}

static void every_setting_comes_back(void **state)
{
    static const struct section *const sections[] = {&section_server, &section_worker,
                                                     &section_service, &section_route};
    (void)state;
    put_all_files();
    folder_put("fib.env", "F=1\n");
    folder_put("shop.env", "S=1\n");
    unlink("routes.json");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        for (size_t j = 0; j < sections[i]->count; j++)
            if (!needs_a_machine(&sections[i]->rows[j]))
                assert_example_comes_back(sections[i], &sections[i]->rows[j]);
}

static void secrets_are_not_printed(void **state)
{
    static const char *const hidden[] = {"topsecret99", "hunter2hunter2", "pw12345",
                                         "dsnvalue1", "abc"};
    struct buf text = {0};
    (void)state;
    put_all_files();
    folder_put("nodey.toml", everything);
    struct config *config = load("nodey.toml");
    print(config, CANONICAL_DERIVED, &text);
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (strstr(buf_cstr(&text), hidden[i]))
            fail_msg("%s is shown:\n%s", hidden[i], buf_cstr(&text));
    assert_non_null(strstr(buf_cstr(&text), "\"postgres://u:***@h/d\""));
    assert_non_null(strstr(buf_cstr(&text), "\"--requirepass\", \"***\", \"--api-key=***\""));
    assert_non_null(strstr(buf_cstr(&text), "\nMAIN_DSN = \"***\"\n"));
    buf_deinit(&text);

    struct secrets secrets = {0};
    config_secrets(config, &secrets);
    struct slice shown = secrets_mask(&secrets, SLICE("x topsecret99 pw12345 y"), &text);
    assert_true(slice_is(shown, "x *** *** y"));
    secrets_deinit(&secrets);
    buf_deinit(&text);
    config_release(config);
}

int main(void)
{
    unsetenv("A");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_printed_is_the_same_configuration, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_folder_without_a_file_is_the_same_configuration,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(every_setting_comes_back, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(secrets_are_not_printed, folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
