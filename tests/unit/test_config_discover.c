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

static void scripts_become_workers_sorted_by_name(void **state)
{
    folder_put("workers/web.mjs", "");
    folder_put("workers/fib.py", "");
    folder_put("workers/old.cjs", "");
    folder_put("workers/v1.2.js", "");
    folder_write("workers/run.sh", "", 0, 0755);
    folder_write("workers/native", "", 0, 0755);
    assert_found(*state, "fib=fib.py native=native old=old.cjs run=run.sh v1.2=v1.2.js "
                         "web=web.mjs");
}

static void what_is_private_is_not_even_noted(void **state)
{
    folder_put("workers/a.py", "");
    folder_put("workers/_helper.py", "");
    folder_put("workers/__init__.py", "");
    folder_put("workers/.hidden.py", "");
    folder_put("workers/node_modules/x.js", "");
    folder_put("workers/__pycache__/x.py", "");
    folder_put("workers/_lib/x.py", "");
    folder_put("workers/.git/x.py", "");
    folder_write("workers/types.d.ts", "", 0, 0755);
    folder_put("workers/sub/_y.py", "");
    assert_found(*state, "a=a.py");
}

static void what_is_left_out_is_noted_with_the_reason(void **state)
{
    folder_put("workers/a.py", "");
    folder_put("workers/b.sh", "");
    folder_put("workers/c d.py", "");
    folder_put("workers/-e.py", "");
    folder_put("workers/e\n.py", "");
    folder_put("workers/f.ts", "");
    folder_put("workers/sub/deep/g.py", "");
    assert_int_equal(symlink("nowhere", "workers/h.py"), 0);
    assert_int_equal(symlink("loop.py", "workers/loop.py"), 0);
    assert_int_equal(mkfifo("workers/pipe.py", 0644), 0);
    assert_found(
        *state,
        "a=a.py; "
        "\"workers/-e.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" "
        "and \"-\"; "
        "\"workers/b.sh\": left out, neither .py .js .mjs .cjs nor executable (chmod +x); "
        "\"workers/c d.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" and \"-\"; "
        "\"workers/e\\x0a.py\": left out, a worker's name has 1 to 64 letters, digits, \"_\", "
        "\".\" and \"-\"; "
        "\"workers/f.ts\": left out, neither .py .js .mjs .cjs nor executable (chmod +x); "
        "\"workers/h.py\": left out, No such file or directory; "
        "\"workers/loop.py\": left out, Too many levels of symbolic links; "
        "\"workers/pipe.py\": left out, not a regular file; "
        "\"workers/sub/deep\": left out, folders are searched one level deep");
}

static void many_notes_are_counted(void **state)
{
    char name[64];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "workers/%02d.txt", i);
        folder_put(name, "");
    }
    char *found = search(*state);
    const char *end = "\"workers/19.txt\": left out, neither .py .js .mjs .cjs nor executable "
                      "(chmod +x); workers/: 80 more left out";
    assert_string_equal(found + strlen(found) - strlen(end), end);
    xfree(found);
}

static void folders_are_searched_and_name_what_is_not_unique(void **state)
{
    folder_put("workers/stock.py", "");
    folder_put("workers/dual/stock.js", "");
    folder_put("workers/dual/price.js", "");
    folder_put("workers/one/fib.py", "");
    folder_put("workers/two/fib.js", "");
    assert_found(*state, "dual-stock=dual/stock.js one-fib=one/fib.py price=dual/price.js "
                         "stock=stock.py two-fib=two/fib.js");
}

static void symbolic_links_lead_to_scripts_and_folders(void **state)
{
    folder_put("elsewhere/x.py", "");
    folder_put("workers/a.py", "");
    assert_int_equal(symlink("../elsewhere", "workers/sub"), 0);
    assert_int_equal(symlink("../elsewhere/x.py", "workers/b.py"), 0);
    assert_int_equal(symlink("..", "workers/up"), 0);
    assert_found(*state,
                 "a=a.py b=b.py x=sub/x.py; \"workers/up/elsewhere\": left out, folders "
                 "are searched one level deep; \"workers/up/workers\": left out, "
                 "folders are searched one level deep");
}

static void two_scripts_of_one_name_are_an_error(void **state)
{
    folder_put("workers/fib.py", "");
    folder_put("workers/fib.js", "");
    assert_found(*state, "!\"workers/fib.js\" and \"workers/fib.py\" would both be the worker "
                         "\"fib\": rename one");
}

static void two_scripts_of_one_name_in_a_folder_are_an_error(void **state)
{
    folder_put("workers/sub/fib.py", "");
    folder_put("workers/sub/fib.js", "");
    assert_found(*state, "!\"workers/sub/fib.js\" and \"workers/sub/fib.py\" would both be the "
                         "worker \"sub-fib\": rename one");
}

static void a_folder_may_not_make_a_name_that_is_taken(void **state)
{
    folder_put("workers/fib.py", "");
    folder_put("workers/sub/fib.py", "");
    folder_put("workers/sub-fib.py", "");
    assert_found(*state, "!\"workers/sub-fib.py\" and \"workers/sub/fib.py\" would both be the "
                         "worker \"sub-fib\": rename one");
}

static void a_folder_may_not_make_a_name_that_is_none(void **state)
{
    folder_put("workers/fib.py", "");
    folder_put("workers/s b/fib.py", "");
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
        folder_put(name, "");
    }
    char *found = search(*state);
    assert_non_null(strstr(found, " w255=w255.py"));
    xfree(found);
    folder_put("workers/z.py", "");
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
        IN_FOLDER(what_is_private_is_not_even_noted),
        IN_FOLDER(what_is_left_out_is_noted_with_the_reason),
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
