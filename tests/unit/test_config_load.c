#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "config/toml.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* The text of a script that is a program for nodey, in any language. */
#define NODEY "nodey\n"

/* Loads the text as ./nodey.toml. */
static struct config *load(const char *text, struct err *err)
{
    folder_put("nodey.toml", text);
    return config_load(NULL, err);
}

static void assert_fails(const char *text, const char *sentence)
{
    struct err err = {0};
    assert_null(load(text, &err));
    assert_string_equal(err.text, sentence);
    assert_true(err.code < 0);
}

static const char whole[] = "[server]\n"
                            "listen = \"0.0.0.0:80\"\n"
                            "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n"
                            "spin = \"50us\"\n"
                            "access_log = \"json\"\n"
                            "log_format = \"json\"\n"
                            "log_level = \"debug\"\n"
                            "data_dir = \"state\"\n"
                            "\n"
                            "[workers.fib]\n"
                            "script = \"workers/fib.py\"\n"
                            "instances = 3\n"
                            "timeout = \"1m30s\"\n"
                            "max_line = \"2M\"\n"
                            "env = { LEVEL = \"high\", PORT = 8080 }\n"
                            "tokens = [\"Fib\"]\n"
                            "\n"
                            "[workers.web]\n"
                            "command = \"node --enable-source-maps 'a b.js'\"\n"
                            "cwd = \"workers\"\n"
                            "ready = \"frame\"\n"
                            "ttl = \"1d\"\n"
                            "\n"
                            "[[routes]]\n"
                            "path = \"/fib\"\n"
                            "method = \"get\"\n"
                            "to = \"fib:Fib\"\n"
                            "timeout = \"5s\"\n"
                            "\n"
                            "[[routes]]\n"
                            "path = \"/*\"\n"
                            "methods = [\"GET\", \"Post\", \"m-search\"]\n"
                            "to = \"web\"\n";

static void assert_path(const char *path, void **state, const char *below)
{
    char want[256];
    snprintf(want, sizeof(want), "%s%s%s", (const char *)*state, *below ? "/" : "", below);
    assert_string_equal(path, want);
}

static void a_whole_configuration_is_understood(void **state)
{
    struct err err;
    folder_put("workers/fib.py", NODEY);
    struct config *c = load(whole, &err);
    if (!c)
        fail_msg("%s", err.text);
    assert_string_equal(c->file, "nodey.toml");
    assert_path(c->dir, state, "");
    assert_string_equal(c->server.listen, "0.0.0.0:80");
    assert_int_equal(c->server.trusted_proxies.count, 2);
    assert_int_equal(c->server.spin, 50);
    assert_int_equal(c->server.access_log, ACCESS_JSON);
    assert_int_equal(c->server.log_format, LOG_FORMAT_JSON);
    assert_int_equal(c->server.log_level, LOG_DEBUG);
    assert_path(c->server.data_dir, state, "state");

    assert_int_equal(c->worker_count, 2);
    const struct worker_config *fib = config_worker(c, "fib");
    assert_ptr_equal(fib, &c->workers[0]);
    assert_string_equal(fib->name, "fib");
    assert_path(fib->script, state, "workers/fib.py");
    assert_string_equal(fib->command.items[0], "python3");
    assert_string_equal(fib->command.items[fib->command.count - 1], fib->script);
    assert_null(fib->command.items[fib->command.count]);
    assert_path(fib->cwd, state, "");
    assert_false(fib->ready_auto);
    assert_int_equal(fib->instances, 3);
    assert_int_equal(fib->timeout, 90000);
    assert_int_equal(fib->max_line, 2 << 20);
    assert_string_equal(fib->env.items[0], "LEVEL=high");
    assert_string_equal(fib->env.items[1], "PORT=8080");
    assert_string_equal(fib->tokens.items[0], "Fib");

    const struct worker_config *web = config_worker(c, "web");
    assert_null(web->script);
    assert_int_equal(web->command.count, 3);
    assert_string_equal(web->command.items[2], "a b.js");
    assert_path(web->cwd, state, "workers");
    assert_false(web->ready_auto);
    assert_int_equal(web->ttl, 86400000);
    assert_null(config_worker(c, "nobody"));

    assert_int_equal(c->route_count, 2);
    assert_string_equal(c->routes[0].path, "/fib");
    assert_string_equal(c->routes[0].methods.items[0], "GET");
    assert_string_equal(c->routes[0].to, "fib:Fib");
    assert_int_equal(c->routes[0].timeout, 5000);
    assert_int_equal(c->routes[1].methods.count, 3);
    assert_string_equal(c->routes[1].methods.items[1], "POST");
    assert_string_equal(c->routes[1].methods.items[2], "M-SEARCH");
    assert_int_equal(c->routes[1].timeout, 0);
    assert_null(c->notes.items[c->notes.count]);
    config_release(c);
}

static void what_is_not_said_depends_on_the_script_and_the_machine(void **state)
{
    struct err err;
    (void)state;
    folder_put("a.py", "");
    folder_write("b.sh", "", 0, 0755);
    struct config *c = load("[workers.a]\nscript = \"a.py\"\n"
                            "[workers.b]\nscript = \"b.sh\"\n"
                            "[workers.c]\ncommand = [\"c\"]\n"
                            "[workers.d]\nscript = \"a.py\"\nready = \"auto\"\n"
                            "[workers.e]\nscript = \"b.sh\"\nready = \"frame\"\n",
                            &err);
    assert_non_null(c);
    assert_false(config_worker(c, "a")->ready_auto);
    assert_true(config_worker(c, "b")->ready_auto);
    assert_true(config_worker(c, "c")->ready_auto);
    assert_true(config_worker(c, "d")->ready_auto);
    assert_false(config_worker(c, "e")->ready_auto);
    assert_in_range(config_worker(c, "a")->instances, 2, 8);
    assert_string_equal(config_worker(c, "b")->command.items[0], config_worker(c, "b")->script);
    config_release(c);
}

static void paths_are_relative_to_the_file_not_to_the_caller(void **state)
{
    struct err err;
    folder_put("conf/nodey.toml", "[server]\nlisten = \"unix:run/sock\"\n"
                                  "[workers.a]\nscript = \"a.py\"\n");
    folder_put("conf/a.py", "");
    struct config *c = config_load("conf/../conf/nodey.toml", &err);
    assert_non_null(c);
    assert_path(c->dir, state, "conf");
    assert_path(c->workers[0].script, state, "conf/a.py");
    assert_path(c->workers[0].cwd, state, "conf");
    assert_path(c->server.data_dir, state, "conf/.nodey");
    assert_memory_equal(c->server.listen, "unix:/", 6);
    assert_path(c->server.listen + 5, state, "conf/run/sock");
    config_release(c);
}

static bool has_note(const struct config *c, const char *part)
{
    for (size_t i = 0; i < c->notes.count; i++)
        if (strstr(c->notes.items[i], part))
            return true;
    return false;
}

static bool has_file(const struct config *c, void **state, const char *below)
{
    char want[256];
    snprintf(want, sizeof(want), "%s/%s", (const char *)*state, below);
    for (size_t i = 0; i < c->files.count; i++)
        if (strcmp(c->files.items[i], want) == 0)
            return true;
    return false;
}

/* The value of a variable in a worker's environment, or NULL. */
static const char *env_of(const struct config *c, const char *worker, const char *name)
{
    const struct string_list *env = &config_worker(c, worker)->env;
    const char *found = NULL;
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], name, strlen(name)) == 0 &&
            env->items[i][strlen(name)] == '=') {
            assert_null(found);
            found = env->items[i] + strlen(name) + 1;
        }
    return found;
}

static void without_a_file_the_scripts_in_workers_are_taken(void **state)
{
    struct err err;
    folder_put("workers/web.js", NODEY);
    folder_put("workers/fib.py", NODEY);
    folder_put("workers/util.py", "");
    folder_write("workers/run.sh", "#!/bin/sh\n", 10, 0755);
    struct config *c = config_load(NULL, &err);
    assert_non_null(c);
    assert_null(c->file);
    assert_true(c->discovered);
    assert_path(c->dir, state, "");
    assert_int_equal(c->worker_count, 3);
    assert_string_equal(c->workers[0].name, "fib");
    assert_string_equal(c->workers[0].command.items[0], "python3");
    assert_path(c->workers[0].script, state, "workers/fib.py");
    assert_path(c->workers[0].cwd, state, "");
    assert_false(c->workers[0].ready_auto);
    assert_int_equal(c->workers[0].timeout, 30000);
    assert_in_range(c->workers[0].instances, 2, 8);
    assert_string_equal(c->workers[1].name, "run");
    assert_true(c->workers[1].ready_auto);
    assert_string_equal(c->workers[2].command.items[0], "node");
    assert_true(has_note(c, "workers/util.py"));
    assert_string_equal(c->server.listen, "127.0.0.1:8000");
    assert_true(has_file(c, state, "nodey.toml"));
    assert_true(has_file(c, state, ".env"));
    assert_true(has_file(c, state, "routes.json"));
    config_release(c);
}

static void a_file_without_workers_serves_the_scripts_and_may_route_to_them(void **state)
{
    struct err err;
    (void)state;
    folder_put("workers/fib.py", NODEY);
    struct config *c = load("[server]\nlisten = \":9\"\n[workers]\n"
                            "[[routes]]\npath = \"/\"\nto = \"fib\"\n",
                            &err);
    assert_non_null(c);
    assert_string_equal(c->server.listen, ":9");
    assert_int_equal(c->worker_count, 1);
    assert_int_equal(c->route_count, 1);
    config_release(c);
    c = load("", &err);
    assert_non_null(c);
    assert_int_equal(c->worker_count, 1);
    config_release(c);
}

static void scripts_are_served_beside_what_is_configured(void **state)
{
    struct err err;
    (void)state;
    folder_put("workers/fib.py", NODEY);
    struct config *c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_int_equal(c->worker_count, 2);
    assert_string_equal(c->workers[0].name, "a");
    assert_string_equal(c->workers[1].name, "fib");
    config_release(c);
    c = load("[server]\ndiscover = false\n[workers.a]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_int_equal(c->worker_count, 1);
    assert_false(c->discovered);
    config_release(c);
    assert_fails("[server]\ndiscover = false\n",
                 "nodey.toml: no [workers.NAME], and [server] discover is false: configure a "
                 "worker");
    assert_fails("[server]\ndiscover = false\n[workers.fib]\n",
                 "nodey.toml:3:10: [workers.fib] needs a script, an app or a command");
}

static void a_section_takes_the_program_of_its_name(void **state)
{
    struct err err = {0};
    folder_put("workers/fib.py", NODEY);
    folder_put("workers/web.js", NODEY);
    folder_put("workers/util.py", "");
    struct config *c = load("[workers.fib]\ninstances = 9\n", &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 2);
    assert_int_equal(c->workers[0].instances, 9);
    assert_path(c->workers[0].script, state, "workers/fib.py");
    assert_false(c->workers[0].ready_auto);
    assert_string_equal(c->workers[1].name, "web");
    config_release(c);
    assert_fails(
        "[workers.fbi]\n",
        "nodey.toml:1:10: [workers.fbi] needs a script, an app or a command, or a program of "
        "that name in workers/; did you mean \"fib\"?");
    assert_null(load("[workers.util]\n", &err));
    assert_non_null(strstr(err.text,
                           "nodey.toml:1:10: [workers.util] needs a script, an app or "
                           "a command: workers/util.py is not served"));
}

static void a_section_takes_the_program_that_it_runs(void **state)
{
    static const char *const texts[] = {
        "[workers.a]\nscript = \"workers/fib.py\"\n",
        "[workers.a]\nscript = \"workers/../workers/fib.py\"\n",
        "[workers.a]\ncommand = \"python3 -O ./workers/fib.py\"\n",
        "[workers.a]\ncommand = [\"python3\", \"fib.py\"]\ncwd = \"workers\"\n",
    };
    struct err err = {0};
    (void)state;
    folder_put("workers/fib.py", NODEY);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct config *c = load(texts[i], &err);
        assert_string_equal(err.text, "");
        assert_int_equal(c->worker_count, 1);
        assert_string_equal(c->workers[0].name, "a");
        config_release(c);
    }
    struct config *c = load("[workers.fib]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_int_equal(c->worker_count, 1);
    assert_true(has_note(c, "\"workers/fib.py\": left out, [workers.fib] runs something else"));
    config_release(c);
}

static void a_folder_that_is_one_program_is_taken_by_any_of_its_files(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put("workers/shop/main.py", NODEY);
    folder_put("workers/shop/other.py", NODEY);
    struct config *c = load("[workers.a]\nscript = \"workers/shop/other.py\"\n", &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 1);
    config_release(c);
    c = load("[workers.shop]\ninstances = 3\n", &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 1);
    assert_int_equal(c->workers[0].instances, 3);
    config_release(c);
}

static void defaults_are_below_what_a_worker_says_itself(void **state)
{
    struct err err = {0};
    folder_put("workers/fib.py", NODEY);
    folder_put("a.py", "");
    struct config *c = load("[defaults]\ninstances = 3\ntimeout = \"7s\"\nready = \"auto\"\n"
                            "cwd = \"workers\"\n"
                            "[defaults.env]\nLEVEL = \"all\"\nKEEP = 1\n"
                            "[workers.a]\nscript = \"a.py\"\ntimeout = \"9s\"\ncwd = \".\"\n"
                            "env = { LEVEL = \"own\", NEW = true }\n",
                            &err);
    assert_string_equal(err.text, "");
    const struct worker_config *a = config_worker(c, "a"), *fib = config_worker(c, "fib");
    assert_int_equal(a->instances, 3);
    assert_int_equal(a->timeout, 9000);
    assert_true(a->ready_auto);
    assert_path(a->cwd, state, "");
    assert_string_equal(env_of(c, "a", "LEVEL"), "own");
    assert_string_equal(env_of(c, "a", "KEEP"), "1");
    assert_string_equal(env_of(c, "a", "NEW"), "true");
    assert_int_equal(fib->instances, 3);
    assert_int_equal(fib->timeout, 7000);
    assert_true(fib->ready_auto);
    assert_path(fib->cwd, state, "workers");
    assert_string_equal(env_of(c, "fib", "LEVEL"), "all");
    assert_null(env_of(c, "fib", "NEW"));
    config_release(c);
}

static void variables_stand_for_values_of_every_type(void **state)
{
    struct err err = {0};
    (void)state;
    setenv("CT_N", "4", 1);
    setenv("CT_T", "1m", 1);
    setenv("CT_YES", "true", 1);
    struct config *c =
        load("[server]\nask_endpoint = \"${CT_YES}\"\nmax_body = \"${CT_S:-3M}\"\n"
             "access_log = \"${CT_LOG:-json}\"\ndiscover = \"${CT_D:-no}\"\n"
             "[workers.\"w\"]\ncommand = \"run '$CT_T x' $$HOME\"\n"
             "instances = \"$CT_N\"\ntimeout = \"${CT_T}\"\n"
             "tokens = [\"T${CT_N}\", \"U\"]\nenv = { \"A\" = \"${CT_GONE}\" }\n",
             &err);
    assert_string_equal(err.text, "");
    const struct worker_config *w = config_worker(c, "w");
    assert_true(c->server.ask_endpoint);
    assert_false(c->server.discover);
    assert_int_equal(c->server.max_body, 3 << 20);
    assert_int_equal(c->server.access_log, ACCESS_JSON);
    assert_int_equal(w->instances, 4);
    assert_int_equal(w->timeout, 60000);
    assert_string_equal(w->command.items[1], "1m x");
    assert_string_equal(w->command.items[2], "$HOME");
    assert_string_equal(w->tokens.items[0], "T4");
    assert_string_equal(env_of(c, "w", "A"), "");
    assert_true(
        has_note(c, "nodey.toml:11:15: the variable CT_GONE is not set, and empty here"));
    config_release(c);
    assert_fails("[workers.w]\ncommand = \"x\"\ninstances = \"${CT_T}\"\n",
                 "nodey.toml:3:13: instances must be a whole number 1..1024, or { min = 1, max "
                 "= 8 }, not \"1m\", which "
                 "\"${CT_T}\" stands for");
    assert_fails("[workers.w]\ncommand = \"x\"\ninstances = \"${CT_M:-2000}\"\n",
                 "nodey.toml:3:13: instances must be a whole number 1..1024, or { min = 1, max "
                 "= 8 }, not \"2000\", which "
                 "\"${CT_M:-2000}\" stands for");
    assert_fails("[workers.w]\ncommand = \"x\"\ntimeout = \"$CT_N\"\n",
                 "nodey.toml:3:11: timeout needs a unit: write \"4s\" or \"4ms\", not \"4\", "
                 "which \"$CT_N\" stands for");
    assert_fails("[server]\nask_endpoint = \"${CT_T}\"\n",
                 "nodey.toml:2:16: ask_endpoint must be true or false, not \"1m\", which "
                 "\"${CT_T}\" stands for");
    assert_fails("[workers.w]\ncommand = \"${CT_GONE:?say what runs}\"\n",
                 "nodey.toml:2:11: the variable CT_GONE is not set: say what runs");
    /* Only what a variable made may be a number in quotes. */
    assert_fails("[workers.w]\ncommand = \"x\"\ninstances = \"2\"\n",
                 "nodey.toml:3:13: instances must be a whole number 1..1024, or { min = 1, max "
                 "= 8 }, not the string \"2\"");
    unsetenv("CT_N");
    unsetenv("CT_T");
    unsetenv("CT_YES");
}

static void the_environment_is_above_dotenv_and_below_env_file(void **state)
{
    struct err err = {0};
    folder_put(".env", "CT_A=dot\nCT_B=dot\nCT_C=dot\nCT_D=dot\nCT_E=dot ${CT_A}\n");
    folder_put("one.env", "CT_B=one\nCT_C=one\n");
    folder_put("two.env", "CT_C=two\nCT_F=$CT_C\nCT_A\n");
    setenv("CT_A", "shell", 1);
    struct config *c =
        load("[defaults]\nenv_file = \"one.env\"\n"
             "[workers.a]\ncommand = \"x $CT_A $CT_B\"\n"
             "[workers.b]\ncommand = \"x\"\n"
             "env_file = [\"one.env\", \"./two.env\"]\nenv = { CT_D = \"own\" }\n"
             "[workers.c]\ncommand = \"x\"\nenv_clear = true\n",
             &err);
    unsetenv("CT_A");
    assert_string_equal(err.text, "");
    assert_string_equal(config_worker(c, "a")->command.items[1], "shell");
    assert_string_equal(config_worker(c, "a")->command.items[2], "dot");
    assert_null(env_of(c, "a", "CT_A")); /* what nodey itself has, it hands on anyhow */
    assert_string_equal(env_of(c, "a", "CT_B"), "one");
    assert_string_equal(env_of(c, "a", "CT_D"), "dot");
    assert_string_equal(env_of(c, "a", "CT_E"), "dot shell");
    assert_string_equal(env_of(c, "b", "CT_C"), "two");
    assert_string_equal(env_of(c, "b", "CT_F"), "two");
    assert_string_equal(env_of(c, "b", "CT_A"), "shell");
    assert_string_equal(env_of(c, "b", "CT_D"), "own");
    assert_true(config_worker(c, "c")->env_clear);
    assert_null(env_of(c, "c", "CT_D"));
    assert_string_equal(env_of(c, "c", "CT_B"), "one");
    assert_true(has_file(c, state, ".env") && has_file(c, state, "one.env") &&
                has_file(c, state, "two.env") && has_file(c, state, "nodey.toml"));
    config_release(c);
    assert_fails("[workers.a]\ncommand = \"x\"\nenv_file = [\"one.env\",\n \"none.env\"]\n",
                 "nodey.toml:4:2: env_file: none.env: No such file or directory");
    assert_fails("[defaults]\nenv_file = \"none.env\"\n[workers.a]\ncommand = \"x\"\n",
                 "nodey.toml:2:12: env_file: none.env: No such file or directory");
    folder_put("one.env", "\nA B\n");
    assert_fails("[workers.a]\ncommand = \"x\"\nenv_file = \"one.env\"\n",
                 "nodey.toml:3:12: env_file: one.env:2:1: \"A B\" is no NAME=value: a name has "
                 "letters, digits, \"_\", \".\" and \"-\", and no digit first");
}

static void a_folder_called_dotenv_is_passed_by(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put(".env/pyvenv.cfg", "");
    struct config *c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_string_equal(err.text, "");
    config_release(c);
}

static void the_port_of_old_counts_where_listen_is_not_configured(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put(".env", "#\nLOADBALANCER_PORT=4000\n");
    struct config *c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_string_equal(c->server.listen, "127.0.0.1:4000");
    assert_true(has_note(c, "listen is 127.0.0.1:4000 by LOADBALANCER_PORT of .env"));
    config_release(c);
    c = load("server.listen = \":9\"\n[workers.a]\ncommand = \"x\"\n", &err);
    assert_string_equal(c->server.listen, ":9");
    config_release(c);
    setenv("LOADBALANCER_PORT", "5000", 1);
    c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_string_equal(c->server.listen, "127.0.0.1:5000");
    config_release(c);
    setenv("LOADBALANCER_PORT", "http", 1);
    assert_fails(
        "[workers.a]\ncommand = \"x\"\n",
        "LOADBALANCER_PORT (in the environment) must be a port 0..65535, not \"http\"");
    unsetenv("LOADBALANCER_PORT");
    folder_put(".env", "\nLOADBALANCER_PORT=65536\n");
    assert_fails("[workers.a]\ncommand = \"x\"\n",
                 ".env:2: LOADBALANCER_PORT must be a port 0..65535, not \"65536\"");
}

static void included_files_live_in_their_own_folders(void **state)
{
    struct err err = {0};
    folder_put("one/a.py", "");
    folder_put("one/a.env", "WHERE=one\n");
    folder_put("one/nodey.toml", "[defaults]\ninstances = 5\n"
                                 "[workers.a]\nscript = \"a.py\"\nenv_file = \"a.env\"\n"
                                 "env = { P = \"${CT_P}\", Q = \"${CT_Q}\" }\n"
                                 "[[routes]]\npath = \"/a\"\nto = \"top\"\n");
    folder_put("one/.env", "CT_P=inner\nCT_Q=inner\n");
    folder_put("two/nodey.toml", "include = \"deep/more.toml\"\n");
    folder_put("two/deep/more.toml", "[workers.deep]\ncommand = \"x\"\n");
    folder_put(".env", "CT_P=outer\n");
    struct config *c = load("include = [\"*/nodey.toml\", \"none/*.toml\"]\n"
                            "[workers.top]\ncommand = \"x\"\ninstances = 1\n"
                            "[[routes]]\npath = \"/t\"\nto = \"deep\"\n",
                            &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 3);
    assert_string_equal(c->workers[0].name, "top");
    const struct worker_config *a = config_worker(c, "a");
    assert_path(a->script, state, "one/a.py");
    assert_path(a->cwd, state, "one");
    assert_int_equal(a->instances, 5);
    assert_string_equal(env_of(c, "a", "WHERE"), "one");
    assert_string_equal(env_of(c, "a", "P"), "outer");
    assert_string_equal(env_of(c, "a", "Q"), "inner");
    assert_null(env_of(c, "top", "CT_Q"));
    assert_in_range(config_worker(c, "deep")->instances, 2, 8);
    assert_path(config_worker(c, "deep")->cwd, state, "two/deep");
    assert_int_equal(c->route_count, 2);
    assert_true(has_note(c, "nodey.toml:1:28: include \"none/*.toml\" finds no file"));
    assert_true(has_file(c, state, "one/nodey.toml") && has_file(c, state, "one/.env") &&
                has_file(c, state, "two/deep/more.toml") && has_file(c, state, "one/a.env"));
    config_release(c);
}

static void a_folder_may_have_a_name_that_looks_like_a_pattern(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put("[x]*/nodey.toml", "include = \"m*.toml\"\n");
    folder_put("[x]*/more.toml", "[workers.more]\ncommand = \"x\"\n");
    struct config *c = config_load("[x]*/nodey.toml", &err);
    assert_string_equal(err.text, "");
    assert_string_equal(c->workers[0].name, "more");
    config_release(c);
}

static void a_pattern_may_find_its_own_file(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put("a.toml", "include = \"*.toml\"\n[workers.a]\ncommand = \"x\"\n");
    struct config *c = load("include = \"*.toml\"\n[workers.b]\ncommand = \"x\"\n", &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 2);
    config_release(c);
}

/* xorshift: the same mutations in every run. */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Changes a few places of the text: bytes, pieces of syntax, cuts and repetitions. */
static void mutate(struct buf *b, uint32_t *seed)
{
    static const char *const pieces[] = {
        "\"",
        "'",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "#",
        "\\",
        ",",
        "\\u0000",
        "1e9999",
        "-",
        "0x",
        "\t",
        "\xff",
        "\xef\xbb\xbf",
        "\x01",
        "99999999999999999999",
        "1979-05-27",
    };
    for (uint32_t n = 1 + next_random(seed) % 4; n > 0; n--) {
        size_t at = next_random(seed) % b->len;
        const char *piece = pieces[next_random(seed) % ARRAY_LEN(pieces)];
        struct buf rest = {0};
        switch (next_random(seed) % 4) {
        case 0:
            b->ptr[at] = (char)next_random(seed);
            break;
        case 1:
            buf_append(&rest, b->ptr + at, b->len - at);
            b->len = at;
            buf_adds(b, piece);
            buf_add(b, buf_slice(&rest));
            break;
        case 2:
            b->len = MAX(at, (size_t)1);
            break;
        default:
            buf_append(&rest, b->ptr + at, MIN(b->len - at, (size_t)40));
            buf_add(b, buf_slice(&rest));
            break;
        }
        buf_deinit(&rest);
    }
}

static void mutated_configurations_never_crash(void **state)
{
    const char *rounds = getenv("CONFIG_MUTATIONS");
    int count = rounds ? atoi(rounds) : 400, failed = 0;
    uint32_t seed = 20240229;
    (void)state;
    folder_put("workers/fib.py", NODEY);
    for (int i = 0; i < count; i++) {
        struct buf b = {0};
        struct err err = {0};
        buf_adds(&b, whole);
        mutate(&b, &seed);
        folder_write("nodey.toml", b.ptr, b.len, 0644);
        struct config *c = config_load(NULL, &err);
        if (!c) {
            failed++;
            assert_true(err.code < 0);
            assert_memory_equal(err.text, "nodey.toml:", 11);
            for (const char *at = err.text; *at; at++)
                assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
        }
        config_release(c);
        buf_deinit(&b);
    }
    /* Neither a loader that takes everything nor one that takes nothing would do. */
    assert_in_range(failed, count / 2, count - 1);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_whole_configuration_is_understood),
        IN_FOLDER(what_is_not_said_depends_on_the_script_and_the_machine),
        IN_FOLDER(paths_are_relative_to_the_file_not_to_the_caller),
        IN_FOLDER(without_a_file_the_scripts_in_workers_are_taken),
        IN_FOLDER(a_file_without_workers_serves_the_scripts_and_may_route_to_them),
        IN_FOLDER(scripts_are_served_beside_what_is_configured),
        IN_FOLDER(a_section_takes_the_program_of_its_name),
        IN_FOLDER(a_section_takes_the_program_that_it_runs),
        IN_FOLDER(a_folder_that_is_one_program_is_taken_by_any_of_its_files),
        IN_FOLDER(defaults_are_below_what_a_worker_says_itself),
        IN_FOLDER(variables_stand_for_values_of_every_type),
        IN_FOLDER(the_environment_is_above_dotenv_and_below_env_file),
        IN_FOLDER(a_folder_called_dotenv_is_passed_by),
        IN_FOLDER(the_port_of_old_counts_where_listen_is_not_configured),
        IN_FOLDER(included_files_live_in_their_own_folders),
        IN_FOLDER(a_folder_may_have_a_name_that_looks_like_a_pattern),
        IN_FOLDER(a_pattern_may_find_its_own_file),
        IN_FOLDER(mutated_configurations_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
