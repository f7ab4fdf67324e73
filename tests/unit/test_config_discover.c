#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/discover.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* What was found and noted: "name=path ...; note; note", or "!" and the error. */
static char *search(const char *dir)
{
    struct arena a = {0};
    struct discovery d = {0};
    struct err err;
    struct buf b = {0};
    if (discover(&a, dir, &d, &err) < 0)
        buf_addf(&b, "!%s", err.text);
    else
        assert_null(d.notes.items[d.notes.count]);
    for (size_t i = 0; i < d.count; i++)
        buf_addf(&b, "%s%s=%s", i ? " " : "", d.scripts[i].name,
                 d.scripts[i].path + strlen(dir) + strlen("/workers/"));
    for (size_t i = 0; i < d.notes.count; i++)
        buf_addf(&b, "; %s", d.notes.items[i]);
    if (d.missing)
        buf_adds(&b, "missing");
    arena_deinit(&a);
    return buf_give(&b);
}

static void assert_found(const char *dir, const char *want)
{
    char *got = search(dir);
    assert_string_equal(got, want);
    xfree(got);
}

/* Without the note about what was taken. */
static void assert_left_out(const char *dir, const char *want)
{
    char *got = search(dir);
    char *taken = strstr(got, "; workers/: ");
    char *behind = taken ? strstr(taken + 2, "; ") : NULL;
    if (taken)
        memmove(taken, behind ? behind : "", strlen(behind ? behind : "") + 1);
    assert_string_equal(got, want);
    xfree(got);
}

static const char py[] = "import nodey\n";
static const char js[] = "const nodey = require('nodey');\n";

static void scripts_become_workers_sorted_by_name(void **state)
{
    folder_put("workers/web.mjs", js);
    folder_put("workers/fib.py", py);
    folder_put("workers/old.cjs", js);
    folder_put("workers/v1.2.js", js);
    folder_write("workers/run.sh", "", 0, 0755);
    folder_write("workers/native", "", 0, 0755);
    assert_found(*state, "fib=fib.py native=native old=old.cjs run=run.sh v1.2=v1.2.js "
                         "web=web.mjs; workers/: fib.py (python3), native (executable), "
                         "old.cjs (node), run.sh (executable), v1.2.js (node), web.mjs (node) "
                         "are served");
}

static void one_that_is_taken_is_named_and_many_are_counted(void **state)
{
    char name[64];
    folder_put("workers/sub/one.py", py);
    folder_write("workers/.venv/bin/python", "", 0, 0755);
    assert_found(*state, "one=sub/one.py; workers/: sub/one.py (python3 .venv) is served");
    for (int i = 0; i < DISCOVER_MAX_NAMED; i++) {
        snprintf(name, sizeof(name), "workers/%d.js", i);
        folder_put(name, js);
    }
    char *found = search(*state);
    assert_non_null(strstr(found, "; workers/: 9 programs are served"));
    xfree(found);
}

static void what_is_private_is_not_even_noted(void **state)
{
    folder_put("workers/a.py", py);
    folder_put("workers/_helper.py", py);
    folder_put("workers/__init__.py", py);
    folder_put("workers/.hidden.py", py);
    folder_put("workers/node_modules/x.js", js);
    folder_put("workers/__pycache__/x.py", py);
    folder_put("workers/_lib/x.py", py);
    folder_put("workers/.git/x.py", py);
    folder_put("workers/.venv/x.py", py);
    folder_put("workers/venv/x.py", py);
    folder_put("workers/package.json", "{}");
    folder_put("workers/requirements.txt", "");
    folder_write("workers/types.d.ts", "", 0, 0755);
    folder_put("workers/sub/_y.py", py);
    folder_put("workers/sub/node_modules/x/index.js", js);
    assert_found(*state, "a=a.py; workers/: a.py (python3) is served");
}

static void what_is_left_out_is_noted_with_the_reason(void **state)
{
    folder_put("workers/a.py", py);
    folder_put("workers/b.tcl", "");
    folder_put("workers/build/b.py", py);
    folder_put("workers/c d.py", py);
    folder_put("workers/-e.py", py);
    folder_put("workers/e\n.py", py);
    folder_write("workers/fast.so", "", 0, 0755);
    folder_put("workers/g.pl", "use strict;\n");
    folder_put("workers/sub/deep/g.py", py);
    folder_put("workers/test_a.py", py);
    folder_put("workers/x.test.mjs", js);
    assert_int_equal(symlink("nowhere", "workers/h.py"), 0);
    assert_int_equal(symlink("loop.py", "workers/loop.py"), 0);
    assert_int_equal(mkfifo("workers/pipe.py", 0644), 0);
    assert_left_out(
        *state,
        "a=a.py; "
        "\"workers/-e.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" and \"-\"; "
        "\"workers/b.tcl\": left out, neither a script that nodey knows nor executable "
        "(chmod +x); "
        "\"workers/build\": left out, such a folder holds what a build has made; "
        "\"workers/c d.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" and \"-\"; "
        "\"workers/e\\x0a.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" and \"-\"; "
        "\"workers/fast.so\": left out, a library; "
        "\"workers/g.pl\": left out, it reads no requests (if it does, chmod +x); "
        "\"workers/h.py\": left out, No such file or directory; "
        "\"workers/loop.py\": left out, Too many levels of symbolic links; "
        "\"workers/pipe.py\": left out, not a regular file; "
        "\"workers/sub/deep\": left out, folders are searched one level deep; "
        "\"workers/test_a.py\": left out, a test; "
        "\"workers/x.test.mjs\": left out, a test");
}

/* What a file of that name and text is: a worker, or why not. */
static void scripts_that_do_not_speak_to_nodey_are_modules_of_others(void **state)
{
    static const struct {
        const char *name, *text;
        int mode;
        bool taken;
    } cases[] = {
        {"a.py", "import nodey", 0644, true},
        {"a.py", "from nodey import get\n", 0644, true},
        {"a.py", "from pynodey import PyNodey\n", 0644, true},
        {"a.js", "const n = new Nodey();\n", 0644, true},
        {"a.ts", "import { get } from 'nodey';\n", 0644, true},
        {"a.py", "", 0644, false},
        {"a.py", "import nodeyish\n", 0644, false},
        {"a.py", "import my_nodey\n", 0644, false},
        {"a.py", "import happynodey\n", 0644, false},
        {"a.py", "def f(): pass\n", 0755, false},
        {"a.py", "#!/usr/bin/env python3\n", 0755, true},
        {"a.py", "#!/usr/bin/env python3\n", 0644, false},
        {"a.py", "print('{\"type\":\"ready\"}')\n", 0644, true},
        {"a.py", "print(json.dumps(dict(type='ready')))\n", 0644, true},
        {"a.js", "process.stdout.write(\"{\\\"type\\\":\\\"ready\\\"}\\n\")\n", 0644, true},
        {"a.js", "client.on('ready', () => {});\n", 0644, false},
        {"a.js", "const type = already;\n", 0644, false},
        {"a.sh", "echo '{\"type\":\"ready\"}'\n", 0644, true},
        {"a.pl", "print qq({\"id\":$id,\"body\":\"x\"}\\n);\n", 0644, true},
        {"a.sh", "exit 1\n", 0644, false},
        {"a.sh", "exit 1\n", 0755, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[64], want[64];
        snprintf(path, sizeof(path), "workers/%s", cases[i].name);
        folder_write(path, cases[i].text, strlen(cases[i].text), (mode_t)cases[i].mode);
        snprintf(want, sizeof(want), "a=%s; workers/: %s (", cases[i].name, cases[i].name);
        char *got = search(*state);
        bool no_node = strstr(got, "TypeScript needs Node"); /* then it was wanted at least */
        bool taken = strncmp(got, want, strlen(want)) == 0 || no_node;
        if (taken != cases[i].taken)
            fail_msg("case %zu: %s", i, got);
        if (!taken)
            assert_true(strstr(got, "\": left out, it ") || strstr(got, " is not served: it "));
        xfree(got);
        unlink(path);
    }
}

static void only_the_beginning_of_a_large_file_is_read(void **state)
{
    size_t size = 256 * 1024 + 64;
    char *text = xmalloc(size);
    memset(text, '#', size);
    memcpy(text + 256 * 1024, py, strlen(py));
    folder_write("workers/a.py", text, size, 0644);
    assert_left_out(*state, "; workers/a.py is not served: it neither imports nodey nor is a "
                            "web app (if it is to be "
                            "a worker, add \"import nodey\" and @nodey.get(\"/a\"))");
    memcpy(text + 256 * 1024 - strlen(py), py, strlen(py));
    folder_write("workers/a.py", text, size, 0644);
    assert_left_out(*state, "a=a.py");
    xfree(text);
}

static void a_folder_with_a_main_file_is_one_worker(void **state)
{
    static const struct {
        const char *package, *file, *found;
    } cases[] = {
        {NULL, "index.js", "index.js"},
        {NULL, "index.mjs", "index.mjs"},
        {NULL, "__main__.py", "__main__.py"},
        {NULL, "main.py", "main.py"},
        {NULL, "app.py", "app.py"},
        {"{}", "server.js", "server.js"},
        {"{}", "app.js", "app.js"},
        {"{}", "app.py", "app.py"},
        {"{\"main\": \"src/web.js\"}", "src/web.js", "src/web.js"},
        {"{\"main\": \"./src/web\"}", "src/web.js", "src/web.js"},
        {"{\"main\": \"lib\"}", "lib/index.js", "lib/index.js"},
        {"{\"main\": \"dist/gone.js\"}", "index.js", "index.js"},
        {"{\"main\": 5}", "index.js", "index.js"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[128], folder[32], want[256];
        snprintf(folder, sizeof(folder), "workers/w%02zu", i);
        snprintf(path, sizeof(path), "%s/%s", folder, cases[i].file);
        folder_put(path, strstr(path, ".py") ? py : js);
        snprintf(path, sizeof(path), "%s/other.py", folder);
        folder_put(path, py);
        snprintf(path, sizeof(path), "%s/package.json", folder);
        if (cases[i].package)
            folder_put(path, cases[i].package);
        char *got = search(*state);
        snprintf(want, sizeof(want), "w%02zu=w%02zu/%s; ", i, i, cases[i].found);
        if (!strstr(got, want))
            fail_msg("case %zu: %s", i, got);
        xfree(got);
    }
    char *got = search(*state);
    assert_null(strstr(got, "left out"));
    xfree(got);
}

static void a_folder_that_is_a_worker_is_shown_as_one(void **state)
{
    folder_put("workers/shop/index.js", "require('./server');\n");
    folder_put("workers/shop/server.js", js);
    assert_found(*state, "shop=shop/index.js; workers/: shop/ (node) is served");
}

static void a_folder_that_is_none_says_why(void **state)
{
    folder_put("workers/bad/package.json", "{\n\"main\": ");
    folder_put("workers/gone/package.json", "{\"main\": \"dist/x.js\"}");
    folder_put("workers/lib/index.js", "module.exports = {};\n");
    folder_put("workers/lib/more.py", "X = 1\n");
    folder_put("workers/w x/app.py", py);
    folder_put("workers/empty/README.md", "");
    folder_put("workers/plain/package.json", "{}");
    folder_put("workers/plain/z.py", py);
    assert_left_out(
        *state,
        "z=plain/z.py; "
        "\"workers/bad\": left out, its package.json is no JSON: line 2: unexpected "
        "token near end of file; "
        "\"workers/gone\": left out, its package.json has the main \"dist/x.js\", which is not "
        "there; "
        "\"workers/lib\": left out, nothing in it imports nodey or is a web app (a module of "
        "others?); "
        "\"workers/w x\": left out, a worker's name has 1 to 64 letters, digits, \"_\", \".\" "
        "and \"-\"");
}

static void a_project_with_a_configuration_of_its_own_is_no_program(void **state)
{
    folder_put("workers/shop/nodey.toml", "");
    folder_put("workers/shop/main.py", py);
    folder_put("workers/z.py", py);
    assert_left_out(*state, "z=z.py; "
                            "\"workers/shop\": left out, it is a project with a nodey.toml of "
                            "its own: run it there, or include that file");
}

static void many_notes_are_counted(void **state)
{
    char name[64];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "workers/%02d.dat", i);
        folder_put(name, "");
    }
    char *found = search(*state);
    const char *end = "\"workers/19.dat\": left out, neither a script that nodey knows nor "
                      "executable (chmod +x); workers/: 80 more left out";
    assert_string_equal(found + strlen(found) - strlen(end), end);
    xfree(found);
}

static void folders_are_searched_and_name_what_is_not_unique(void **state)
{
    folder_put("workers/stock.py", py);
    folder_put("workers/dual/stock.js", js);
    folder_put("workers/dual/price.js", js);
    folder_put("workers/one/fib.py", py);
    folder_put("workers/two/fib.js", js);
    assert_left_out(*state, "dual-stock=dual/stock.js one-fib=one/fib.py price=dual/price.js "
                            "stock=stock.py two-fib=two/fib.js");
}

static void symbolic_links_lead_to_scripts_and_folders(void **state)
{
    folder_put("elsewhere/x.py", py);
    folder_put("whole/app.py", py);
    folder_put("workers/a.py", py);
    assert_int_equal(symlink("../elsewhere", "workers/sub"), 0);
    assert_int_equal(symlink("../whole", "workers/whole"), 0);
    assert_int_equal(symlink("../elsewhere/x.py", "workers/b.py"), 0);
    assert_int_equal(symlink("..", "workers/up"), 0);
    assert_left_out(
        *state,
        "a=a.py b=b.py whole=whole/app.py x=sub/x.py; \"workers/up/elsewhere\": left out, "
        "folders are searched one level deep; \"workers/up/whole\": left out, folders are "
        "searched one level deep; \"workers/up/workers\": left out, "
        "folders are searched one level deep");
}

static void two_scripts_of_one_name_are_an_error(void **state)
{
    folder_put("workers/fib.py", py);
    folder_put("workers/fib.js", js);
    assert_found(*state, "!\"workers/fib.js\" and \"workers/fib.py\" would both be the worker "
                         "\"fib\": rename one");
}

static void two_scripts_of_one_name_in_a_folder_are_an_error(void **state)
{
    folder_put("workers/sub/fib.py", py);
    folder_put("workers/sub/fib.js", js);
    assert_found(*state, "!\"workers/sub/fib.js\" and \"workers/sub/fib.py\" would both be the "
                         "worker \"sub-fib\": rename one");
}

static void a_folder_may_not_make_a_name_that_is_taken(void **state)
{
    folder_put("workers/fib.py", py);
    folder_put("workers/sub/fib.py", py);
    folder_put("workers/sub-fib.py", py);
    assert_found(*state, "!\"workers/sub-fib.py\" and \"workers/sub/fib.py\" would both be the "
                         "worker \"sub-fib\": rename one");
}

static void a_folder_may_not_make_a_name_that_is_none(void **state)
{
    folder_put("workers/fib.py", py);
    folder_put("workers/s b/fib.py", py);
    assert_found(*state, "!\"workers/s b/fib.py\" would be the worker \"s b-fib\", which is no "
                         "name for one: rename its folder");
}

static void no_folder_and_an_empty_one_are_told_apart(void **state)
{
    assert_found(*state, "missing");
    folder_put("workers/.keep", "");
    assert_found(*state, "");
}

static void a_file_called_workers_is_an_error(void **state)
{
    char want[128];
    folder_put("workers", "");
    snprintf(want, sizeof(want), "!%s/workers: Not a directory", (const char *)*state);
    assert_found(*state, want);
}

static void there_is_a_limit(void **state)
{
    char name[64];
    for (int i = 0; i < DISCOVER_MAX_SCRIPTS; i++) {
        snprintf(name, sizeof(name), "workers/w%03d.py", i);
        folder_put(name, py);
    }
    char *found = search(*state);
    assert_non_null(strstr(found, " w255=w255.py; workers/: 256 programs are served"));
    xfree(found);
    folder_put("workers/z.py", py);
    assert_found(*state, "!workers/ holds more than 256 scripts: configure the workers by "
                         "[workers.NAME] in nodey.toml");
}

static void names_are_checked(void **state)
{
    char longest[66];
    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_true(worker_name_valid((struct slice){longest, 64}));
    assert_false(worker_name_valid((struct slice){longest, 65}));
    assert_true(worker_name_valid(SLICE("a")));
    assert_true(worker_name_valid(SLICE("_A-b.9")));
    assert_true(worker_name_valid(SLICE("9")));
    assert_false(worker_name_valid(SLICE("")));
    assert_false(worker_name_valid(SLICE(".")));
    assert_false(worker_name_valid(SLICE("..")));
    assert_false(worker_name_valid(SLICE("-a")));
    assert_false(worker_name_valid(SLICE("a b")));
    assert_false(worker_name_valid(SLICE("a/b")));
    assert_false(worker_name_valid(SLICE("a:b")));
    assert_false(worker_name_valid(SLICE("a\0b")));
    assert_false(worker_name_valid(SLICE("\xc3\xa4")));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(scripts_become_workers_sorted_by_name),
        IN_FOLDER(one_that_is_taken_is_named_and_many_are_counted),
        IN_FOLDER(what_is_private_is_not_even_noted),
        IN_FOLDER(what_is_left_out_is_noted_with_the_reason),
        IN_FOLDER(scripts_that_do_not_speak_to_nodey_are_modules_of_others),
        IN_FOLDER(only_the_beginning_of_a_large_file_is_read),
        IN_FOLDER(a_folder_with_a_main_file_is_one_worker),
        IN_FOLDER(a_folder_that_is_a_worker_is_shown_as_one),
        IN_FOLDER(a_folder_that_is_none_says_why),
        IN_FOLDER(a_project_with_a_configuration_of_its_own_is_no_program),
        IN_FOLDER(many_notes_are_counted),
        IN_FOLDER(folders_are_searched_and_name_what_is_not_unique),
        IN_FOLDER(symbolic_links_lead_to_scripts_and_folders),
        IN_FOLDER(two_scripts_of_one_name_are_an_error),
        IN_FOLDER(two_scripts_of_one_name_in_a_folder_are_an_error),
        IN_FOLDER(a_folder_may_not_make_a_name_that_is_taken),
        IN_FOLDER(a_folder_may_not_make_a_name_that_is_none),
        IN_FOLDER(no_folder_and_an_empty_one_are_told_apart),
        IN_FOLDER(a_file_called_workers_is_an_error),
        IN_FOLDER(there_is_a_limit),
        cmocka_unit_test(names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
