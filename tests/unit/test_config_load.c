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
    folder_put("workers/fib.py", "");
    struct config *c = load(whole, &err);
    assert_non_null(c);
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
    assert_int_equal(fib->command.count, 2);
    assert_string_equal(fib->command.items[0], "python3");
    assert_string_equal(fib->command.items[1], fib->script);
    assert_null(fib->command.items[2]);
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
    assert_int_equal(c->notes.count, 0);
    assert_null(c->notes.items[0]);
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
    folder_put("workers/a.py", "");
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
    folder_put("workers/a.py", "");
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
         "nodey.toml:2:13: instances must be a whole number 1..1024, not the string \"two\""},
        {"[workers.fib]\ntimeout = 30\n",
         "nodey.toml:2:11: timeout needs a unit: write \"30s\" or \"30ms\", not the number 30"},
        {"[workers.fib]\nmax_line = \"1K\"\n",
         "nodey.toml:2:12: max_line must be 64K..16M, not the string \"1K\""},
        {"[server]\nlisten = \"x\"\nlsiten = 1\n",
         "nodey.toml:3:1: unknown key \"lsiten\" in [server]; did you mean \"listen\"?"},
        {"[server]\naccess_log = true\n",
         "nodey.toml:2:14: access_log must be \"off\", \"combined\" or \"json\", not true"},
        {"[[routes]]\npath = \"/\"\nto = \"fib\"\ntoo = 1\n[workers.fib]\ncommand = \"x\"",
         "nodey.toml:4:1: unknown key \"too\" in [[routes]]; did you mean \"to\"?"},

        {"[worker.fib]\n", "nodey.toml:1:2: unknown section \"worker\"; did you mean "
                           "[workers.NAME]?"},
        {"[[route]]\n", "nodey.toml:1:3: unknown section \"route\"; did you mean [[routes]]?"},
        {"[sever]\n", "nodey.toml:1:2: unknown section \"sever\"; did you mean [server]?"},
        {"[defaults]\n", "nodey.toml:1:2: unknown section \"defaults\""},
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
                                       "its own, [workers.NAME]"},

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
         "nodey.toml:2:10: [workers.fib] needs a script or a command"},
        {"workers.fib = {}\n", "nodey.toml:1:9: [workers.fib] needs a script or a command"},
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
         "nodey.toml:5:6: to names no worker \"fob\"; did you mean \"fib\"?"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"api:Token\"\n",
         "nodey.toml:5:6: to names no worker \"api\""},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\nto = \"fib:\"\n",
         "nodey.toml:5:6: to \"fib:\": the token after \":\" must have 1 to 128 bytes"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\nto = \"fib\"\n",
         "nodey.toml:3:1: [[routes]] needs a path"},
        {"[workers.fib]\ncommand = \"x\"\n[[routes]]\npath = \"/fib\"\n",
         "nodey.toml:3:1: [[routes]] needs a to"},
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

static void without_a_file_the_scripts_in_workers_are_taken(void **state)
{
    struct err err;
    folder_put("workers/web.js", "");
    folder_put("workers/fib.py", "");
    folder_put("workers/notes.txt", "");
    folder_write("workers/run.sh", "", 0, 0755);
    struct config *c = config_load(NULL, &err);
    assert_non_null(c);
    assert_null(c->file);
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
    assert_int_equal(c->notes.count, 1);
    assert_string_equal(c->notes.items[0],
                        "\"workers/notes.txt\": left out, neither .py .js .mjs "
                        ".cjs nor executable (chmod +x)");
    assert_string_equal(c->server.listen, "127.0.0.1:8000");
    config_release(c);
}

static void a_file_without_workers_serves_the_scripts_and_may_route_to_them(void **state)
{
    struct err err;
    (void)state;
    folder_put("workers/fib.py", "");
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

static void configured_workers_are_all_there_are(void **state)
{
    struct err err;
    (void)state;
    folder_put("workers/fib.py", "");
    struct config *c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_int_equal(c->worker_count, 1);
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
    folder_put("workers/a.sh", "");
    assert_fails("",
                 "nothing in workers/ can be run: put a .py or .js file there, or make a "
                 "program executable (\"workers/a.sh\": left out, neither .py .js .mjs .cjs "
                 "nor executable (chmod +x))");
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
    assert_fails(buf_cstr(&b), "nodey.toml:1:2: more than 1024 workers");
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
    folder_put("workers/fib.py", "");
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
        IN_FOLDER(configured_workers_are_all_there_are),
        IN_FOLDER(with_nothing_at_all_it_says_what_to_do),
        IN_FOLDER(files_that_cannot_be_read_are_named),
        IN_FOLDER(a_file_of_5_mib_is_refused),
        IN_FOLDER(a_nul_byte_is_refused),
        IN_FOLDER(the_number_of_workers_and_routes_is_bounded),
        IN_FOLDER(mutated_configurations_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
