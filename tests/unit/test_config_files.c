#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static struct config *load(const char *text, struct err *err)
{
    folder_put("nodey.toml", text);
    return config_load(NULL, err);
}

/* `keys` follow a worker "fib", a folder "dist" and a file "file". */
static void assert_fails(const char *keys, const char *sentence)
{
    char text[1024];
    struct err err = {0};
    folder_put("dist/index.html", "<p>");
    folder_put("file", "");
    snprintf(text, sizeof(text), "[workers.fib]\ncommand = \"x\"\n[[routes]]\n%s", keys);
    assert_null(load(text, &err));
    assert_string_equal(err.text, sentence);
}

static void a_route_to_files_is_understood(void **state)
{
    struct err err;
    char want[256];
    folder_put("dist/index.html", "<p>");
    struct config *c = load("[[routes]]\npath = \"/app/*\"\nroot = \"dist\"\nspa = true\n"
                            "cache_control = \"no-cache\"\nindex = [\"a.html\", \"b.html\"]\n"
                            "[[routes]]\npath = \"/\"\nroot = \"dist\"\nmethods = [\"head\"]\n",
                            &err);
    assert_non_null(c);
    assert_int_equal(c->route_count, 2);
    const struct route_config *route = &c->routes[0];
    snprintf(want, sizeof(want), "%s/dist", (const char *)*state);
    assert_string_equal(route->root, want);
    assert_null(route->to);
    assert_true(route->spa);
    assert_string_equal(route->cache_control, "no-cache");
    assert_int_equal(route->index.count, 2);
    assert_int_equal(route->methods.count, 1);
    assert_string_equal(route->methods.items[0], "GET");
    assert_string_equal(c->routes[1].index.items[0], "index.html");
    assert_string_equal(c->routes[1].methods.items[0], "GET");
    assert_int_equal(route_config_worker(route).len, 0);
    struct buf summary = {0};
    config_summary(c, &summary);
    assert_non_null(strstr(buf_cstr(&summary), "files dist: route GET /app/*, spa\n"
                                               "files dist: route GET /\n"));
    buf_deinit(&summary);
    config_release(c);
}

static void a_wrong_route_to_files_is_refused_in_a_sentence(void **state)
{
    (void)state;

    static const struct {
        const char *keys, *sentence;
    } cases[] = {
        {"path = \"/a/*\"\nroot = \"dist\"\nto = \"fib\"\n",
         "nodey.toml:5:1: a route has a worker (to) or files (root), not both: one must go"},
        {"path = \"/a\"\nroot = \"dist\"\n",
         "nodey.toml:4:8: path \"/a\" of a route with a root must end in \"/*\""},
        {"path = \"/a*\"\nroot = \"dist\"\n",
         "nodey.toml:4:8: path \"/a*\" of a route with a root must end in \"/*\""},
        {"path = \"/a/*\"\nroot = \"dits\"\n",
         "nodey.toml:5:8: root \"dits\": No such file or directory; make the folder (or run "
         "what builds it) first"},
        {"path = \"/a/*\"\nroot = \"file\"\n",
         "nodey.toml:5:8: root \"file\" must be a folder, and is a file: name the folder that "
         "it lies in"},
        {"path = \"/a/*\"\nroot = \"dist\"\ntimeout = \"1s\"\n",
         "nodey.toml:6:1: timeout belongs to routes with a worker, and this one has a root"},
        {"path = \"/a/*\"\nroot = \"dist\"\ncache = \"1s\"\n",
         "nodey.toml:6:1: cache belongs to routes with a worker, and this one has a root; "
         "cache_control tells browsers how long to keep files"},
        {"path = \"/a/*\"\nroot = \"dist\"\nmethods = [\"GET\", \"POST\"]\n",
         "nodey.toml:6:11: a route with a root takes GET and HEAD, not POST"},
        {"path = \"/a/*\"\nto = \"fib\"\nspa = true\n",
         "nodey.toml:6:1: spa belongs to routes with a root, and this one has a worker"},
        {"path = \"/a/*\"\nroot = \"dist\"\n[[routes]]\npath = \"/a/*\"\nmethod = \"GET\"\n"
         "to = \"fib\"\n",
         "nodey.toml:6:1: route GET \"/a/*\" stands twice, first in line 3"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_fails(cases[i].keys, cases[i].sentence);
}

static void what_compresses_has_a_default_and_may_be_nothing(void **state)
{
    (void)state;
    struct err err;
    struct config *c = load("[workers.a]\ncommand = \"x\"\n", &err);
    assert_non_null(c);
    assert_int_equal(c->server.compress.count, 3);
    assert_string_equal(c->server.compress.items[0], "zstd");
    assert_true(c->server.compress_types.count > 5);
    assert_string_equal(c->server.compress_types.items[0], "text/*");
    assert_int_equal(c->server.compress_min, 1024);
    config_release(c);
    c = load(
        "[server]\ncompress = []\ncompress_types = [\"a/b\"]\n[workers.a]\ncommand = \"x\"\n",
        &err);
    assert_non_null(c);
    assert_int_equal(c->server.compress.count, 0);
    assert_int_equal(c->server.compress_types.count, 1);
    config_release(c);
}

static void a_wrong_coding_or_type_is_refused_in_a_sentence(void **state)
{
    (void)state;

    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[server]\ncompress = [\"gzip\", \"deflate\"]\n",
         "nodey.toml:2:21: compress must hold \"zstd\", \"br\" and \"gzip\", each at most "
         "once, "
         "not \"deflate\""},
        {"[server]\ncompress = [\"gzip\", \"gzip\"]\n",
         "nodey.toml:2:21: compress must hold \"zstd\", \"br\" and \"gzip\", each at most "
         "once, "
         "not \"gzip\""},
        {"[server]\ncompress_types = [\"text\"]\n",
         "nodey.toml:2:19: compress_types must hold media types such as \"text/html\" or "
         "\"text/*\", not \"text\""},
        {"[server]\ncompress_types = [\"*/*\"]\n",
         "nodey.toml:2:19: compress_types must hold media types such as \"text/html\" or "
         "\"text/*\", not \"*/*\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        assert_null(load(cases[i].text, &err));
        assert_string_equal(err.text, cases[i].sentence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_route_to_files_is_understood, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_wrong_route_to_files_is_refused_in_a_sentence,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(what_compresses_has_a_default_and_may_be_nothing,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(a_wrong_coding_or_type_is_refused_in_a_sentence,
                                        folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
