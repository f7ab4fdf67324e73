/* Routes to services and addresses: what they say, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/proxied.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

#define API                                                                                    \
    "[services.api]\ncommand = \"./api\"\nport = \"auto\"\n"                                   \
    "[workers.fib]\ncommand = \"./fib\"\n"
#define ROUTE   "[[routes]]\npath = \"/api/*\"\n"
#define TO_API  API ROUTE "to = \"api\"\n"
#define TO_URLS API ROUTE "to = [\"http://a:1\", \"http://b:2\"]\n"

static void assert_fails(const char *text, const char *sentence)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    assert_null(config_load(NULL, &err));
    if (!strstr(err.text, sentence))
        fail_msg("%s\nnot: %s", err.text, sentence);
}

static struct config *load(const char *text)
{
    struct err err = {0};
    folder_put("nodey.toml", text);
    struct config *c = config_load(NULL, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

static void addresses_are_read(void **state)
{
    (void)state;

    static const struct {
        const char *text, *address, *authority, *base;
    } good[] = {
        {"http://10.0.0.1:8080", "10.0.0.1:8080", "10.0.0.1:8080", ""},
        {"http://api.example", "api.example:80", "api.example", ""},
        {"http://[::1]:81/", "[::1]:81", "[::1]:81", ""},
        {"http://h:1/base/x/", "h:1", "h:1", "/base/x"},
        {"unix:/run/a.sock", "unix:/run/a.sock", "localhost", ""},
    };

    static const char *const bad[] = {
        "",
        "http://",
        "http:///x",
        "https://h",
        "h:80",
        "unix:",
        "http://h:0",
        "http://h:x",
        "http://h:70000",
        "http://u@h",
        "http://h/a b",
        "http://h?x",
        "http://h/#a",
        "http://h\r\nX: y",
        "http://[::1",
    };
    struct arena arena = {0};
    struct route_url url;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(route_url_read(good[i].text, &arena, &url));
        assert_string_equal(url.address, good[i].address);
        assert_true(slice_is(url.authority, good[i].authority));
        assert_true(slice_is(url.base, good[i].base));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (route_url_read(bad[i], &arena, &url))
            fail_msg("\"%s\" is taken for an address", bad[i]);
    arena_deinit(&arena);
}

static void policies_are_understood(void **state)
{
    (void)state;

    static const struct {
        const char *line;
        int policy;
        const char *key;
    } rows[] = {
        {"", POLICY_LEAST_CONN, NULL},
        {"policy = \"round_robin\"\n", POLICY_ROUND_ROBIN, NULL},
        {"policy = \"random\"\n", POLICY_RANDOM, NULL},
        {"policy = \"ip_hash\"\n", POLICY_IP_HASH, NULL},
        {"policy = \"header:X-User\"\n", POLICY_HEADER, "x-user"},
        {"policy = \"cookie:Lb\"\n", POLICY_COOKIE, "Lb"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = xasprintf("%s%s", TO_URLS, rows[i].line);
        struct config *c = load(text);
        assert_int_equal(c->routes[0].balance, rows[i].policy);
        if (rows[i].key)
            assert_string_equal(c->routes[0].policy_key, rows[i].key);
        else
            assert_null(c->routes[0].policy_key);
        assert_int_equal(c->routes[0].urls.count, 2);
        config_release(c);
        xfree(text);
    }
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;

    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {TO_API "policy = \"fair\"\n",
         "nodey.toml:9:10: policy must be \"least_conn\", \"round_robin\", \"random\", "
         "\"ip_hash\", \"header:NAME\" or \"cookie:NAME\", not \"fair\""},
        {TO_API "policy = \"header:\"\n", "not \"header:\""},
        {TO_API "policy = \"cookie:a b\"\n", "not \"cookie:a b\""},
        {TO_API "strip_prefix = \"/other\"\n", "nodey.toml:9:16: strip_prefix \"/other\" is "
                                               "not how the route's path \"/api/*\" begins"},
        {TO_API "strip_prefix = \"/ap\"\n", "is not how the route's path"},
        {TO_API "strip_prefix = \"/\"\n", "strip_prefix must be a path such as \"/api\""},
        {TO_API "rewrite = \"v2\"\n", "rewrite must be a path such as \"/v2/*\""},
        {TO_API "rewrite = \"/*/v2\"\n", "a * of rewrite must be its end"},
        {TO_API "rewrite = \"/v2\"\nstrip_prefix = \"/api\"\n",
         "strip_prefix and rewrite both make another path"},
        {API "[[routes]]\npath = \"/x\"\nto = \"api\"\nrewrite = \"/v2/*\"\n", "has none"},
        {TO_API "host = \"a b\"\n", "host must be \"upstream\" or a host name"},
        {TO_API "cache = \"1m\"\n", "nodey.toml:9:1: cache belongs to routes with a worker"},
        {TO_URLS "cache_headers = [\"a\"]\n", "cache_headers belongs to routes with a worker"},
        {API ROUTE "to = \"fib\"\nretries = 2\n",
         "retries belongs to routes with a service or addresses, and this one has a worker"},
        {API ROUTE "root = \".\"\nstrip_prefix = \"/api\"\n", "and this one has a root"},
        {API ROUTE "to = \"https://h\"\n", "nodey speaks http to others, not https"},
        {API ROUTE "to = [\"http://h:1\", \"api\"]\n",
         "nodey.toml:8:21: to must be addresses such as"},
        {API ROUTE "to = [\"http://h:1\", \"http://h:1\"]\n", "to names \"http://h:1\" twice"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_fails(rows[i].text, rows[i].sentence);
}

static void paths_are_settled(void **state)
{
    (void)state;
    struct config *c = load(API ROUTE "to = \"unix:run/a.sock\"\nstrip_prefix = \"/api/\"\n");
    assert_string_equal(c->routes[0].strip_prefix, "/api");
    assert_true(strncmp(c->routes[0].urls.items[0], "unix:/", 6) == 0);
    config_release(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_are_read, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(policies_are_understood, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(paths_are_settled, folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
