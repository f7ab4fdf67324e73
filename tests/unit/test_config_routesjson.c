#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/routesjson.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* "GET,POST /path to; ...", then each note behind a line break. */
static void describe(const struct config *c, struct buf *b)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route_config *route = &c->routes[i];
        buf_adds(b, i ? "; " : "");
        for (size_t j = 0; j < route->methods.count; j++)
            buf_addf(b, "%s%s", j ? "," : "", route->methods.items[j]);
        assert_null(route->methods.items[route->methods.count]);
        buf_addf(b, "%s%s %s", route->methods.count ? " " : "", route->path, route->to);
        if (route->description)
            buf_addf(b, " (%s)", route->description);
    }
    for (size_t i = 0; i < c->notes.count; i++)
        if (strncmp(c->notes.items[i], "routes.json", 11) == 0)
            buf_addf(b, "\n%s", c->notes.items[i]);
}

/* The routes of a configuration with this routes.json, or "!" and the sentence. */
static const char *load(const char *toml, const char *json)
{
    static char text[4096];
    struct buf b = {0};
    struct err err;
    folder_put("nodey.toml", toml);
    if (json)
        folder_put("routes.json", json);
    struct config *c = config_load(NULL, &err);
    if (c)
        describe(c, &b);
    else
        buf_addf(&b, "!%s", err.text);
    snprintf(text, sizeof(text), "%s", buf_cstr(&b));
    buf_deinit(&b);
    config_release(c);
    return text;
}

static const char two[] = "[workers.web]\ncommand = \"/usr/bin/node web.js\"\n"
                          "[workers.calc]\ncommand = [\"python3\", \"calc.py\"]\n";

static void the_file_of_old_is_read_as_it_is(void **state)
{
    (void)state;
    assert_string_equal(
        load(two, "[\n"
                  "  {\"path\": \"/users\", \"method\": \"get\", \"target\": \"node\",\n"
                  "   \"description\": \"all \\u00fcsers\"},\n"
                  "  {\"path\": \"/users/:id\", \"method\": \"PUT\", \"target\": \"node\"},\n"
                  "  {\"path\": \"/stats\", \"method\": \"GET\", \"target\": \"python\"},\n"
                  "]\n"),
        "GET /users web (all \xc3\xbcsers); PUT /users/:id web; GET /stats calc\n"
        "routes.json:5: the comma before \"]\" is one too many: ignored");
}

static void nothing_is_missed_without_the_file(void **state)
{
    (void)state;
    assert_string_equal(load(two, NULL), "");
    assert_string_equal(load(two, "[]"), "");
    assert_string_equal(load(two, "\xef\xbb\xbf[]\r\n"), "");
    assert_string_equal(load(two, "{\"routes\": []}"), "");
}

static void methods_come_in_many_ways(void **state)
{
    static const struct {
        const char *method, *ours;
    } cases[] = {
        {"", "/a web"},
        {",\"method\": null", "/a web"},
        {",\"method\": \"all\"", "/a web"},
        {",\"method\": \"*\"", "/a web"},
        {",\"method\": []", "/a web"},
        {",\"method\": [\"get\", \"ALL\"]", "/a web"},
        {",\"method\": [\"get\", \"Post\", \"GET\"]", "GET,POST /a web"},
        {",\"methods\": \"m-search\"", "M-SEARCH /a web"},
        {",\"method\": 5",
         "!routes.json:1:40: method must be a string or a list of them, not \"5\""},
        {",\"method\": [[]]",
         "!routes.json:1:41: method must be a string or a list of them, not \"[]\""},
        {",\"method\": \"GET POST\"", "!routes.json:1:40: \"GET POST\" is no HTTP method"},
        {",\"method\": \"\"", "!routes.json:1:40: \"\" is no HTTP method"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char json[256];
        snprintf(json, sizeof(json), "[{\"path\":\"/a\",\"target\":\"web\"%s}]",
                 cases[i].method);
        assert_string_equal(load(two, json), cases[i].ours);
    }
}

static const char *target(const char *toml, const char *name)
{
    char json[256];
    snprintf(json, sizeof(json), "[{\"path\":\"/a\",\"target\":\"%s\"}]", name);
    return load(toml, json);
}

static void targets_are_workers_or_languages(void **state)
{
    (void)state;
    assert_string_equal(target(two, "web"), "/a web");
    assert_string_equal(target(two, "calc:Fib"), "/a calc:Fib");
    assert_string_equal(target(two, "Node"), "/a web");
    assert_string_equal(target(two, "python:Fib"), "/a calc:Fib");
    assert_string_equal(target("[workers.node]\ncommand = \"sh x\"\n"
                               "[workers.web]\ncommand = \"node x\"\n",
                               "node"),
                        "/a node");
    assert_string_equal(target(two, "wep"), "!routes.json:1:24: target names no worker "
                                            "\"wep\"; did you mean \"web\"?");
    assert_string_equal(target(two, "http://localhost:3000"),
                        "!routes.json:1:24: target names no worker "
                        "\"http://localhost:3000\"");
    assert_string_equal(target(two, "web:"), "!routes.json:1:24: target \"web:\": the token "
                                             "after \":\" must have 1 to 128 bytes");
    assert_string_equal(target("[workers.web]\ncommand = \"node x\"\n", "python"),
                        "!routes.json:1:24: target \"python\": no worker is a Python program");
}

static void a_language_of_several_workers_is_the_one_in_its_folder(void **state)
{
    (void)state;
    folder_put("workers/a.js", "require('nodey')");
    folder_put("workers/python-app/b.py", "import nodey");
    folder_put("workers/c.py", "import nodey");
    folder_put("workers/d.mjs", "import 'nodey'");
    assert_string_equal(target("", "python"), "/a b");
    assert_string_equal(target("", "node"),
                        "!routes.json:1:24: target \"node\" may be any of the Node programs: "
                        "write one of \"a\", \"d\", or give one of them that name");
    folder_put("workers/Node/e.js", "require('nodey')");
    assert_string_equal(target("", "node"), "/a e");
    folder_put("workers/node2.js", "require('nodey')");
    assert_string_equal(target("", "node"),
                        "!routes.json:1:24: target \"node\" may be any of the Node programs: "
                        "write one of \"a\", \"d\", \"e\", \"node2\", or give one of them that "
                        "name");
    folder_put("workers/node.js", "require('nodey')");
    assert_string_equal(target("", "node"), "/a node");
}

static void what_the_configuration_routes_wins(void **state)
{
    char toml[512];
    (void)state;
    snprintf(toml, sizeof(toml),
             "%s[[routes]]\npath = \"/a\"\nmethods = [\"GET\", \"PUT\"]\nto = \"calc\"\n"
             "[[routes]]\npath = \"/any\"\nto = \"calc:X\"\n",
             two);
    assert_string_equal(
        load(toml, "[{\"path\":\"/a\",\"method\":[\"get\",\"post\"],\"target\":\"web\"},\n"
                   "{\"path\":\"/a\",\"method\":\"PUT\",\"target\":\"web\"},\n"
                   "{\"path\":\"/a\",\"target\":\"web\"},\n"
                   "{\"path\":\"/any\",\"target\":\"web\"},\n"
                   "{\"path\":\"/any\",\"method\":\"get\",\"target\":\"web\"},\n"
                   "{\"path\":\"/any\",\"method\":\"get\",\"target\":\"calc\"}]"),
        "GET,PUT /a calc; /any calc:X; POST /a web; /a web; GET /any web\n"
        "routes.json:1: GET \"/a\" is served by \"calc\" already, which [[routes]] says\n"
        "routes.json:2: PUT \"/a\" is served by \"calc\" already, which [[routes]] says\n"
        "routes.json:4: \"/any\" is served by \"calc:X\" already, which [[routes]] says\n"
        "routes.json:6: GET \"/any\" is served by \"web\" already, which an earlier entry "
        "says");
}

static void express_paths_are_told_of_when_they_change(void **state)
{
    (void)state;
    assert_string_equal(
        load(two, "[{\"path\":\"/u/:id?\",\"method\":\"GET\",\"target\":\"web\"},\n"
                  " {\"path\":\"/n/:id(\\\\d+)\",\"target\":\"web\"}]"),
        "GET /u web; GET /u/:id web; /n/:id web\n"
        "routes.json:2: path \"/n/:id(\\d+)\": what stands in \"()\" is no condition here: any "
        "segment fits");
    assert_string_equal(load(two, "[{\"path\":\"/a+\",\"target\":\"web\"}]"),
                        "!routes.json:1:10: path \"/a+\": only \":name\" for a segment, and "
                        "\"*\" for all that follows, are understood: write it with these, or "
                        "as several routes");
}

static void what_is_wrong_has_its_place(void **state)
{
    static const struct {
        const char *json, *sentence;
    } cases[] = {
        {"", "1:1: the text ends too early"},
        {"[\n {\"path\" \"/a\"}]", "2:10: a character that JSON does not have here"},
        {"[{\"path\": '/a'}]", "1:11: a character that JSON does not have here"},
        {"[,]", "1:2: a character that JSON does not have here"},
        {"[] []", "1:4: there is more behind the end of the list"},
        {"[{\"path\":\"/a", "1:10: a string that does not end"},
        {"5", "1:1: routes must be a list: [{\"path\": \"/users\", \"method\": \"GET\", "
              "\"target\": \"WORKER\"}]"},
        {"{\"a\": 1}", "1:1: routes must be a list: [{\"path\": \"/users\", \"method\": "
                       "\"GET\", \"target\": \"WORKER\"}]"},
        {"[\n\n  \"\xc3\xa4\", 5]", "3:3: a route must be an object, not \"\xc3\xa4\""},
        {"[\n\"\xc3\xa4\" 5]", "2:5: a character that JSON does not have here"},
        {"[{}]", "1:2: a route needs a path: {\"path\": \"/users\", \"method\": \"GET\", "
                 "\"target\": \"WORKER\"}"},
        {"[{\"path\": \"/a\"}]", "1:2: a route needs a target: {\"path\": \"/users\", "
                                 "\"method\": \"GET\", \"target\": \"WORKER\"}"},
        {"[{\"path\": 5, \"target\": \"web\"}]", "1:11: path must be a string, not \"5\""},
        {"[{\"path\": \"/a\", \"target\": null}]",
         "1:27: target must be a string, not \"null\""},
        {"[{\"path\": \"a\", \"target\": \"web\"}]",
         "1:11: path \"a\": it must begin with \"/\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[256];
        snprintf(want, sizeof(want), "!routes.json:%s", cases[i].sentence);
        assert_string_equal(load(two, cases[i].json), want);
    }
}

static void commas_are_forgiven_only_where_they_are_too_many(void **state)
{
    (void)state;
    assert_string_equal(load(two, "[{\"path\":\"/a,]\",\"target\":\"web\"\n , \n}, ]"),
                        "!routes.json:1:10: path \"/a,]\": only \":name\" for a segment, and "
                        "\"*\" for all that follows, are understood: write it with these, or "
                        "as several routes");
    assert_string_equal(load(two, "[{\"path\":\"/a\\\",}\",\"target\":\"web\"}]"),
                        "!routes.json:1:10: path \"/a\",}\": only \":name\" for a segment, and "
                        "\"*\" for all that follows, are understood: write it with these, or "
                        "as several routes");
    assert_string_equal(load(two, "[{\"path\":\"/a,b\",\"target\":\"web\"\n , \n}, ]"),
                        "/a,b web\n"
                        "routes.json:2: the comma before \"}\" is one too many: ignored\n"
                        "routes.json:3: the comma before \"]\" is one too many: ignored");
    assert_string_equal(load(two, "[{\"path\":\"/a\",,\"target\":\"web\"}]"),
                        "!routes.json:1:15: a character that JSON does not have here");
}

static void unknown_keys_are_told_of(void **state)
{
    (void)state;
    assert_string_equal(
        load(two, "[{\"path\":\"/a\",\n\"auth\":true,\"target\":\"web\",\"description\":5}]"),
        "/a web\nroutes.json:2: unknown key \"auth\": ignored");
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    folder_put("routes.json/x", "");
    assert_string_equal(load(two, NULL), "!routes.json: Is a directory");
}

static void there_is_a_limit(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_adds(&b, "[");
    for (int i = 0; i <= CONFIG_MAX_ROUTES; i++)
        buf_addf(&b, "%s{\"path\":\"/%d\",\"target\":\"web\"}\n", i ? "," : "", i);
    buf_adds(&b, "]");
    const char *got = load(two, buf_cstr(&b));
    assert_string_equal(got, "!routes.json:4097:2: more than 4096 routes");
    buf_clear(&b);
    while (b.len <= ROUTESJSON_MAX_FILE)
        buf_adds(&b, "                                                                ");
    assert_string_equal(load(two, buf_cstr(&b)), "!routes.json: larger than 4 MiB");
    buf_deinit(&b);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_file_of_old_is_read_as_it_is),
        IN_FOLDER(nothing_is_missed_without_the_file),
        IN_FOLDER(methods_come_in_many_ways),
        IN_FOLDER(targets_are_workers_or_languages),
        IN_FOLDER(a_language_of_several_workers_is_the_one_in_its_folder),
        IN_FOLDER(what_the_configuration_routes_wins),
        IN_FOLDER(express_paths_are_told_of_when_they_change),
        IN_FOLDER(what_is_wrong_has_its_place),
        IN_FOLDER(commas_are_forgiven_only_where_they_are_too_many),
        IN_FOLDER(unknown_keys_are_told_of),
        IN_FOLDER(a_file_that_cannot_be_read_is_an_error),
        IN_FOLDER(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
