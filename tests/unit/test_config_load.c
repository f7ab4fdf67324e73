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

static void addresses_are_recognised(void **state)
{
    static const char *const good[] = {
        "127.0.0.1:8000", ":80", "80", "0", "localhost:65535", "[::1]:80", "unix:/run/x",
    };
    static const char *const bad[] = {
        "localhost", "localhost:", ":",     "localhost:65536", "::1:80",
        "[::1]80",   "a:b:80",     "unix:", "[]:80",           "-1",
    };
    (void)state;
    folder_put("workers/a.py", NODEY);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[128];
        struct err err = {0};
        snprintf(text, sizeof(text), "server.listen = \"%s\"", good[i]);
        struct config *c = load(text, &err);
        assert_string_equal(err.text, "");
        assert_string_equal(c->server.listen, good[i]);
        config_release(c);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[128], want[256];
        snprintf(text, sizeof(text), "server.listen = \"%s\"", bad[i]);
        snprintf(want, sizeof(want),
                 "nodey.toml:1:17: listen must be \"HOST:PORT\", \":PORT\", \"PORT\" or "
                 "\"unix:PATH\", not \"%s\"",
                 bad[i]);
        assert_fails(text, want);
    }
}

static void proxies_are_addresses_or_networks(void **state)
{
    static const char *const bad[] = {
        "proxy",
        "10.0.0",
        "10.0.0.0/33",
        "::1/129",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:aaaa:bbbb",
    };
    (void)state;
    folder_put("workers/a.py", NODEY);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[256], want[256];
        snprintf(text, sizeof(text), "[server]\ntrusted_proxies = [\"::/0\", \"%s\"]", bad[i]);
        snprintf(want, sizeof(want),
                 "nodey.toml:2:28: trusted_proxies must hold addresses such as \"10.0.0.1\" or "
                 "\"10.0.0.0/8\", not \"%s\"",
                 bad[i]);
        assert_fails(text, want);
    }
}

static void mistakes_are_told_with_their_place(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[workers.fib]\nscript = \"fib.py\"\n  instnces = 2\n",
         "nodey.toml:3:3: unknown key \"instnces\" in [workers.fib]; did you mean "
         "\"instances\"?"},
        {"[workers.fib]\ninstances = \"two\"\n",
         "nodey.toml:2:13: instances must be a whole number 1..1024, or { min = 1, max = 8 }, "
         "not the string \"two\""},
        {"[workers.fib]\ntimeout = 30\n",
         "nodey.toml:2:11: timeout needs a unit: write \"30s\" or \"30ms\", not the number 30"},
        {"[workers.fib]\nmax_line = \"1K\"\n",
         "nodey.toml:2:12: max_line must be 64K..64M, not the string \"1K\""},
        {"[server]\nlisten = \"x\"\nlsiten = 1\n",
         "nodey.toml:3:1: unknown key \"lsiten\" in [server]; did you mean \"listen\"?"},
        {"[server]\naccess_log = true\n",
         "nodey.toml:2:14: access_log must be \"auto\", \"off\", \"combined\" or \"json\", not "
         "true"},
        {"[server]\nport = 8080\n",
         "nodey.toml:2:1: unknown key \"port\" in [server]; it is called listen here: "
         "listen = \"0.0.0.0:80\""},
        {"port = 8080\n",
         "nodey.toml:1:1: unknown key \"port\"; it is called listen here, and stands under "
         "[server]: listen = \"0.0.0.0:80\""},
        {"[workers.fib]\nreplicas = 3\n",
         "nodey.toml:2:1: unknown key \"replicas\" in [workers.fib]; it is called instances "
         "here: instances = 4"},
        {"[defaults]\nEnvironment = 3\n",
         "nodey.toml:2:1: unknown key \"Environment\" in [defaults]; it is called env here: "
         "env = { LEVEL = \"high\", WEB_PORT = \"${PORT:-3000}\" }"},
        {"[[routes]]\npath = \"/\"\nto = \"fib\"\ntoo = 1\n[workers.fib]\ncommand = \"x\"",
         "nodey.toml:4:1: unknown key \"too\" in [[routes]]; did you mean \"to\"?"},

        {"[worker.fib]\n", "nodey.toml:1:2: unknown section \"worker\"; did you mean "
                           "[workers.NAME]?"},
        {"[[route]]\n", "nodey.toml:1:3: unknown section \"route\"; did you mean [[routes]]?"},
        {"[sever]\n", "nodey.toml:1:2: unknown section \"sever\"; did you mean [server]?"},
        {"[default]\n",
         "nodey.toml:1:2: unknown section \"default\"; did you mean [defaults]?"},
        {"[zebra]\n", "nodey.toml:1:2: unknown section \"zebra\""},
        {"inlcude = []\n", "nodey.toml:1:1: unknown key \"inlcude\"; did you mean include?"},
        {"instances = 2\n",
         "nodey.toml:1:1: \"instances\" stands outside its section: put it under "
         "[workers.NAME], or under [defaults] for all"},
        {"defaults = 1\n", "nodey.toml:1:1: defaults must be a section: write [defaults]"},
        {"[defaults]\nscript = \"a.py\"\n",
         "nodey.toml:2:1: script in [defaults] would be every worker's: put it under "
         "[workers.NAME]"},
        {"[defaults]\ninstnces = 2\n",
         "nodey.toml:2:1: unknown key \"instnces\" in [defaults]; did you mean "
         "\"instances\"?"},
        {"[defaults]\nbackoff_min = \"1m\"\n",
         "nodey.toml:2:15: backoff_min must not exceed backoff_max"},
        {"[defaults]\ncwd = \"nowhere\"\n",
         "nodey.toml:2:7: cwd \"nowhere\": No such file or directory"},
        {"listen = \":80\"\n",
         "nodey.toml:1:1: \"listen\" stands outside its section: put it under [server]"},
        {"hello = 1\n", "nodey.toml:1:1: unknown key \"hello\" outside of a section"},
        {"hosts = [\"a\"]\n", "nodey.toml:1:1: unknown key \"hosts\" outside of a section"},
        {"hosts = []\n", "nodey.toml:1:1: unknown key \"hosts\" outside of a section"},
        {"server = 1\n", "nodey.toml:1:1: server must be a section: write [server]"},
        {"[[server]]\n", "nodey.toml:1:3: server must be a section: write [server]"},
        {"[[workers]]\n",
         "nodey.toml:1:3: workers must be sections: write [workers.NAME] for each"},
        {"[routes]\n", "nodey.toml:1:2: routes must be a list: write [[routes]] for each"},
        {"routes = [\"/a\"]\n[workers.a]\ncommand = \"x\"",
         "nodey.toml:1:11: routes must be tables: write [[routes]] for each"},
        {"[workers]\ninstances = 2\n", "nodey.toml:2:1: unknown key \"instances\" in "
                                       "[workers]; every worker has a section of "
                                       "its own, [workers.NAME], and [defaults] "
                                       "is for all"},

        {"[workers.\"a b\"]\ncommand = \"x\"\n",
         "nodey.toml:1:10: \"a b\" is no name for a worker: use 1 to 64 letters, digits, "
         "\"_\", "
         "\".\" and \"-\", and neither of the last two first"},
        {"[workers.\"\"]\ncommand = \"x\"\n",
         "nodey.toml:1:10: \"\" is no name for a worker: use 1 to 64 letters, digits, \"_\", "
         "\".\" and \"-\", and neither of the last two first"},
        {"[workers.fib]\ncommand = \"a\"\n[workers.fib]\n",
         "nodey.toml:3:1: Error while parsing table header: cannot redefine existing table "
         "'workers.fib'"},
        {"\n[workers.fib]\ninstances = 2\n",
         "nodey.toml:2:10: [workers.fib] needs a script, an app or a command"},
        {"workers.fib = {}\n",
         "nodey.toml:1:9: [workers.fib] needs a script, an app or a command"},
        {"[workers.fib]\ncommand = \"x\"\nscript = \"y\"\n",
         "nodey.toml:2:11: [workers.fib] has a script and a command: one of them must go"},
        {"[workers.fib]\nscript = \"workers/fbi.py\"\n",
         "nodey.toml:2:10: script \"workers/fbi.py\": No such file or directory"},
        {"[workers.fib]\nscript = \".\"\n",
         "nodey.toml:2:10: script \".\": not a regular file"},
        {"[workers.fib]\nscript = \"nodey.toml\"\n",
         "nodey.toml:2:10: script \"nodey.toml\": not executable, and nothing is known that "
         "runs it: chmod +x it, or say how with command"},
        {"[workers.fib]\nscript = \"fib\\u0000.py\"\n",
         "nodey.toml:2:10: script must not contain the control character U+0000"},
        {"[workers.fib]\ncommand = \"node 'x\"\n",
         "nodey.toml:2:11: command lacks a closing '"},
        {"[workers.fib]\ncommand = \"x\"\ncwd = \"nowhere\"\n",
         "nodey.toml:3:7: cwd \"nowhere\": No such file or directory"},
        {"[workers.fib]\ncommand = \"x\"\ncwd = \"nodey.toml\"\n",
         "nodey.toml:3:7: cwd \"nodey.toml\": Not a directory"},
        {"[workers.fib]\ncommand = \"x\"\nbackoff_min = \"1m\"\n",
         "nodey.toml:3:15: backoff_min must not exceed backoff_max"},
        {"[workers.fib]\ncommand = \"x\"\nbackoff_min = \"3s\"\nbackoff_max = \"2s\"\n",
         "nodey.toml:4:15: backoff_min must not exceed backoff_max"},
        {"[workers.fib]\ncommand = \"x\"\nping_kill = \"1s\"\n",
         "nodey.toml:3:13: ping_timeout must not exceed ping_kill"},
        {"[workers.fib]\ncommand = \"x\"\nping_timeout = \"11s\"\n",
         "nodey.toml:3:16: ping_timeout must not exceed ping_kill"},

        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fob\"\n",
         "nodey.toml:5:6: to names no worker or service \"fob\"; did you mean \"fib\"?"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"api:Token\"\n",
         "nodey.toml:5:6: to names no worker or service \"api\""},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib:\"\n",
         "nodey.toml:5:6: to \"fib:\": the token after \":\" must have 1 to 128 bytes"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\nto = \"fib\"\n",
         "nodey.toml:3:1: [[routes]] needs a path"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\n",
         "nodey.toml:3:1: [[routes]] needs a to (a worker) or a root (a folder of files)"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"fib\"\nto = \"fib\"\n",
         "nodey.toml:4:8: path must begin with \"/\", not be \"fib\""},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib\"\n"
         "methods = [\"GET\",\n\"G T\"]\n",
         "nodey.toml:7:1: \"G T\" is no HTTP method"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib\"\n"
         "methods = \"GET\"\n method = \"GET\"\n",
         "nodey.toml:7:2: method and methods mean the same: one must go"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib\"\n"
         "methods = [\"GET\", \"PUT\"]\n[[routes]]\npath = \"/fib\"\nto = \"fib\"\n"
         "method = \"put\"\n",
         "nodey.toml:7:1: route PUT \"/fib\" stands twice, first in line 3"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib\"\n"
         "[[routes]]\npath = \"/fib\"\nto = \"fib\"\n",
         "nodey.toml:6:1: route \"/fib\" stands twice, first in line 3"},

        {"[workers.fib\n",
         "nodey.toml:1:13: Error while parsing table header: expected ']', saw '\\n'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_fails(cases[i].text, cases[i].sentence);
}

static void a_token_has_128_bytes_at_most(void **state)
{
    char token[130], text[512];
    struct err err = {0};
    (void)state;
    memset(token, 't', sizeof(token));
    token[129] = '\0';
    snprintf(text, sizeof(text), "[workers.a]\ncommand = \"x\"\ntokens = [\"T\",\"%s\"]\n",
             token);
    assert_fails(text, "nodey.toml:3:15: a token must not be longer than 128 bytes");
    token[128] = '\0';
    snprintf(text, sizeof(text),
             "[workers.a]\ncommand = \"x\"\ntokens = \"%s\"\n"
             "[[routes]]\npath = \"/\"\nto = \"a:%s\"\n",
             token, token);
    struct config *c = load(text, &err);
    assert_string_equal(err.text, "");
    config_release(c);
}

static void routes_may_share_a_path_when_their_methods_differ(void **state)
{
    struct err err;
    (void)state;
    struct config *c = load("[workers.a]\ncommand = \"x\"\n"
                            "[[routes]]\npath = \"/\"\nto = \"a\"\nmethod = \"GET\"\n"
                            "[[routes]]\npath = \"/\"\nto = \"a\"\nmethod = \"PUT\"\n"
                            "[[routes]]\npath = \"/\"\nto = \"a\"\n",
                            &err);
    assert_non_null(c);
    assert_int_equal(c->route_count, 3);
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

static void mistakes_in_includes_name_their_places(void **state)
{
    struct err err;
    char chain[64], name[64];
    (void)state;
    folder_put("b/x.toml", "\n [workers.fib]\ncommand = \"x\"\n");
    assert_fails("include = [\"b/x.toml\"]\n[workers.fib]\ncommand = \"y\"\n",
                 "b/x.toml:2:11: [workers.fib] stands in nodey.toml:2:10 too: rename one");
    assert_fails("include = [\n\"b/none.toml\"]\n",
                 "nodey.toml:2:1: include \"b/none.toml\": No such file or directory");
    assert_fails("include = [\"b/x.toml\", \"./b/x.toml\"]\n",
                 "nodey.toml:1:24: include \"./b/x.toml\": is included already, by "
                 "nodey.toml:1:12");
    assert_fails("include = 3\n", "nodey.toml:1:11: include must be a list of files, such as "
                                  "[\"*/nodey.toml\"]");
    assert_fails("include = [3]\n",
                 "nodey.toml:1:12: include must hold nothing but names of files, such as "
                 "\"more.toml\" or \"*/nodey.toml\"");
    assert_fails("include = \"nodey.toml\"\n",
                 "nodey.toml:1:11: include \"nodey.toml\": a file cannot include itself, nor "
                 "one that includes it");
    folder_put("b/x.toml", "include = \"../nodey.toml\"\n");
    assert_fails(
        "include = \"b/x.toml\"\n",
        "b/x.toml:1:11: include \"b/../nodey.toml\": a file cannot include itself, nor "
        "one that includes it");
    folder_put("b/x.toml", "[server]\nlisten = \":1\"\n");
    assert_fails("include = [\"b/*.toml\"]\n",
                 "b/x.toml:1:2: [server] belongs in the first file alone, and this one is "
                 "included by nodey.toml:1:12");
    folder_put("b/x.toml", "[[routes]]\npath = \"/\"\nto = \"a\"\n");
    assert_fails("include = \"b/x.toml\"\n[workers.a]\ncommand = \"x\"\n"
                 "[[routes]]\npath = \"/\"\nto = \"a\"\n",
                 "b/x.toml:1:1: route \"/\" stands twice, first in nodey.toml:4");
    folder_put("b/x.toml", "[workers.a\n");
    assert_null(load("include = \"b/x.toml\"\n", &err));
    assert_memory_equal(err.text, "b/x.toml:1:11: ", 15);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "c%d.toml", i);
        snprintf(chain, sizeof(chain), "include = \"c%d.toml\"\n", i + 1);
        folder_put(name, chain);
    }
    assert_fails("include = \"c0.toml\"\n", "c7.toml:1:11: include \"c8.toml\": files include "
                                            "each other more than 8 deep");
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

static void with_nothing_at_all_it_says_what_to_do(void **state)
{
    struct err err;
    char want[256];
    assert_null(config_load(NULL, &err));
    assert_string_equal(
        err.text, "no nodey.toml and no workers/ folder here: put a script into workers/, "
                  "such as workers/hello.py, or write a nodey.toml");
    snprintf(want, sizeof(want),
             "nodey.toml: no [workers.NAME], and no workers/ folder in %s: put a script into "
             "workers/, or configure one",
             (const char *)*state);
    assert_fails("", want);
    folder_put("workers/a.py", "");
    struct config *empty = load("", &err);
    assert_non_null(empty);
    assert_non_null(strstr(empty->empty,
                           "nothing in workers/ can be run: put a .py or .js file "
                           "there, or make a program executable (workers/a.py is "
                           "not served: it neither imports nodey nor is a web app"));
    config_release(empty);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    struct err err;
    (void)state;
    assert_null(config_load("other.toml", &err));
    assert_string_equal(err.text, "other.toml: No such file or directory");
    assert_int_equal(err.code, -ENOENT);
    assert_null(config_load("none/other.toml", &err));
    assert_string_equal(err.text, "none/other.toml: No such file or directory");
    assert_null(config_load(".", &err));
    assert_string_equal(err.text, ".: Is a directory");
    assert_null(config_load("/dev/zero", &err));
    assert_string_equal(err.text, "/dev/zero: larger than 4 MiB");
}

static void a_file_of_5_mib_is_refused(void **state)
{
    struct err err;
    size_t size = 5 << 20;
    char *bytes = xmalloc(size);
    (void)state;
    memset(bytes, '#', size);
    folder_write("nodey.toml", bytes, size, 0644);
    assert_null(config_load(NULL, &err));
    assert_string_equal(err.text, "nodey.toml: larger than 4 MiB");
    xfree(bytes);
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "[workers.a]\ncommand = \"x\"\n\0[[routes]]\n";
    struct err err;
    (void)state;
    folder_write("nodey.toml", text, sizeof(text) - 1, 0644);
    assert_null(config_load(NULL, &err));
    assert_memory_equal(err.text, "nodey.toml:3:1: ", 16);
}

static void the_number_of_workers_and_routes_is_bounded(void **state)
{
    struct buf b = {0};
    struct err err = {0};
    (void)state;
    for (int i = 0; i < CONFIG_MAX_WORKERS; i++)
        buf_addf(&b, "[workers.w%d]\ncommand = \"x\"\n", i);
    size_t workers = b.len;
    for (int i = 0; i < CONFIG_MAX_ROUTES; i++)
        buf_addf(&b, "[[routes]]\npath = \"/%d\"\nto = \"w1023\"\n", i);
    struct config *c = load(buf_cstr(&b), &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, CONFIG_MAX_WORKERS);
    assert_int_equal(c->route_count, CONFIG_MAX_ROUTES);
    config_release(c);
    buf_adds(&b, "[[routes]]\npath = \"/more\"\nto = \"w0\"\n");
    assert_null(load(buf_cstr(&b), &err));
    assert_non_null(strstr(err.text, ": more than 4096 routes"));
    b.len = workers;
    buf_adds(&b, "[workers.more]\ncommand = \"x\"\n");
    assert_fails(buf_cstr(&b), "nodey.toml:1:1: more than 1024 workers and services");
    buf_deinit(&b);
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
        IN_FOLDER(addresses_are_recognised),
        IN_FOLDER(proxies_are_addresses_or_networks),
        IN_FOLDER(mistakes_are_told_with_their_place),
        IN_FOLDER(a_token_has_128_bytes_at_most),
        IN_FOLDER(routes_may_share_a_path_when_their_methods_differ),
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
        IN_FOLDER(mistakes_in_includes_name_their_places),
        IN_FOLDER(a_pattern_may_find_its_own_file),
        IN_FOLDER(with_nothing_at_all_it_says_what_to_do),
        IN_FOLDER(files_that_cannot_be_read_are_named),
        IN_FOLDER(a_file_of_5_mib_is_refused),
        IN_FOLDER(a_nul_byte_is_refused),
        IN_FOLDER(the_number_of_workers_and_routes_is_bounded),
        IN_FOLDER(mutated_configurations_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
