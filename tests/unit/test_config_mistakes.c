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

static const struct {
    const char *text, *sentence;
} mistakes[] = {
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
    {"[default]\n", "nodey.toml:1:2: unknown section \"default\"; did you mean [defaults]?"},
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
    {"workers.fib = {}\n", "nodey.toml:1:9: [workers.fib] needs a script, an app or a command"},
    {"[workers.fib]\ncommand = \"x\"\nscript = \"y\"\n",
     "nodey.toml:2:11: [workers.fib] has a script and a command: one of them must go"},
    {"[workers.fib]\nscript = \"workers/fbi.py\"\n",
     "nodey.toml:2:10: script \"workers/fbi.py\": No such file or directory"},
    {"[workers.fib]\nscript = \".\"\n", "nodey.toml:2:10: script \".\": not a regular file"},
    {"[workers.fib]\nscript = \"nodey.toml\"\n",
     "nodey.toml:2:10: script \"nodey.toml\": not executable, and nothing is known that "
     "runs it: chmod +x it, or say how with command"},
    {"[workers.fib]\nscript = \"fib\\u0000.py\"\n",
     "nodey.toml:2:10: script must not contain the control character U+0000"},
    {"[workers.fib]\ncommand = \"node 'x\"\n", "nodey.toml:2:11: command lacks a closing '"},
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

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++)
        assert_fails(mistakes[i].text, mistakes[i].sentence);
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

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(addresses_are_recognised),
        IN_FOLDER(proxies_are_addresses_or_networks),
        IN_FOLDER(mistakes_are_told_with_their_place),
        IN_FOLDER(a_token_has_128_bytes_at_most),
        IN_FOLDER(routes_may_share_a_path_when_their_methods_differ),
        IN_FOLDER(mistakes_in_includes_name_their_places),
        IN_FOLDER(with_nothing_at_all_it_says_what_to_do),
        IN_FOLDER(files_that_cannot_be_read_are_named),
        IN_FOLDER(a_file_of_5_mib_is_refused),
        IN_FOLDER(a_nul_byte_is_refused),
        IN_FOLDER(the_number_of_workers_and_routes_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
