#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "app/embedded.h"
#include "app/sdk.h"
#include "base/buf.h"
#include "config/script.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* The whole file; the caller frees the buf. */
static struct buf contents(const char *path)
{
    struct buf out = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("%s is not there", path);
    size_t n;
    while ((n = fread(buf_reserve(&out, 65536), 1, 65536, file)) > 0)
        out.len += n;
    fclose(file);
    return out;
}

static void check_all(const char *folder)
{
    for (const struct embedded_file *file = embedded_files; file->path; file++) {
        char *path = xasprintf("%s/data/sdk/%s/%s", folder, embedded_version, file->path);
        struct buf have = contents(path);
        assert_int_equal(have.len, file->len);
        if (file->len)
            assert_memory_equal(have.ptr, file->bytes, file->len);
        struct stat st;
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(st.st_mode & 0077, 0);
        buf_deinit(&have);
        xfree(path);
    }
}

static struct sdk unpack(const char *folder)
{
    struct sdk sdk = {0};
    struct err err;
    char *data = xasprintf("%s/data", folder);
    if (sdk_unpack(&sdk, data, &err))
        fail_msg("%s", err.text);
    xfree(data);
    return sdk;
}

static void all_files_are_unpacked(void **state)
{
    struct sdk sdk = unpack(*state);
    check_all(*state);
    char *python = xasprintf("%s/nodey/__init__.py", sdk.python);
    char *node = xasprintf("%s/nodey/package.json", sdk.node);
    assert_int_equal(access(python, R_OK), 0);
    assert_int_equal(access(node, R_OK), 0);
    xfree(python);
    xfree(node);
    sdk_deinit(&sdk);
    assert_null(sdk.python);
}

/* Somebody else may have written there: what differs is written anew. */
static void what_is_there_is_not_trusted(void **state)
{
    struct sdk sdk = unpack(*state);
    char *changed = xasprintf("%s/nodey/__init__.py", sdk.python);
    char *longer = xasprintf("%s/nodey/version.py", sdk.python);
    char *linked = xasprintf("%s/nodey/index.cjs", sdk.node);
    folder_put(changed, "raise SystemExit");
    FILE *file = fopen(longer, "ae");
    fputs("import evil\n", file);
    fclose(file);
    folder_put("outside", "precious");
    assert_int_equal(unlink(linked), 0);
    assert_int_equal(symlink("../../../../../../outside", linked), 0);
    sdk_deinit(&sdk);
    sdk = unpack(*state);
    check_all(*state);
    struct buf outside = contents("outside");
    assert_string_equal(buf_cstr(&outside), "precious");
    buf_deinit(&outside);
    xfree(changed);
    xfree(longer);
    xfree(linked);
    sdk_deinit(&sdk);
}

static void a_folder_that_cannot_be_written_is_told_of(void **state)
{
    struct sdk sdk = {0};
    struct err err;
    (void)state;
    folder_put("data/sdk", "a file in the way");
    assert_int_equal(sdk_unpack(&sdk, "data", &err), -1);
    assert_non_null(strstr(err.text, "data/sdk"));
    assert_null(sdk.python);
}

/* --------------------------------------------------------------------- import */

/* Links for this one script; the target of the link beside it, or "". */
static const char *linked(const struct sdk *sdk, const char *folder, const char *name)
{
    static char target[4096];
    char *script = xasprintf("%s/%s", folder, name);
    char *link = xasprintf("%s/%.*snode_modules/nodey", folder,
                           strchr(name, '/') ? (int)(strchr(name, '/') + 1 - name) : 0, name);
    struct worker_config worker = {.name = "a", .script = script};
    struct config config = {.workers = &worker, .worker_count = 1};
    sdk_link_modules(sdk, &config);
    ssize_t len = readlink(link, target, sizeof(target) - 1);
    target[len > 0 ? len : 0] = '\0';
    xfree(script);
    xfree(link);
    return target;
}

static void scripts_that_import_find_the_sdk_beside_them(void **state)
{
    static const struct {
        const char *name, *text;
        bool linked;
    } cases[] = {
        {"one/a.mjs", "", true},
        {"two/a.js", "import { serve } from 'nodey'\n", true},
        {"three/a.ts", "import x from 'nodey'\n", true},
        {"four/a.js", "const nodey = require('nodey')\n", false},
        {"five/a.cjs", "import('nodey')\n", false},
        {"seven/a.mts", "", true},
        {"eight/a.cts", "import('nodey')\n", false},
        {"six/a.py", "import nodey\n", false},
    };
    struct sdk sdk = unpack(*state);
    char *target = xasprintf("%s/nodey", sdk.node);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        folder_put(cases[i].name, cases[i].text);
        const char *found = linked(&sdk, *state, cases[i].name);
        if (strcmp(found, cases[i].linked ? target : "") != 0)
            fail_msg("%s: \"%s\"", cases[i].name, found);
    }
    xfree(target);
    sdk_deinit(&sdk);
}

static void an_installed_nodey_is_left_alone(void **state)
{
    struct sdk sdk = unpack(*state);
    folder_put("node_modules/nodey/package.json", "{}");
    folder_put("deep/a.mjs", "");
    assert_string_equal(linked(&sdk, *state, "deep/a.mjs"), ""); /* found further up */
    folder_put("a.mjs", "");
    assert_string_equal(linked(&sdk, *state, "a.mjs"), "");
    assert_int_equal(access("node_modules/nodey/package.json", F_OK), 0);
    sdk_deinit(&sdk);
}

/* The SDK of the version before is still there, and so its link still works. */
static void the_link_of_another_version_is_renewed(void **state)
{
    struct sdk sdk = unpack(*state);
    char *old = xasprintf("%s/data/sdk/0123456789abcdef/node/nodey", (char *)*state);
    char *target = xasprintf("%s/nodey", sdk.node);
    folder_put("data/sdk/0123456789abcdef/node/nodey/package.json", "{}");
    folder_put("w/a.mjs", "");
    folder_put("w/node_modules/other", "");
    assert_int_equal(symlink(old, "w/node_modules/nodey"), 0);
    assert_string_equal(linked(&sdk, *state, "w/a.mjs"), target);
    assert_string_equal(linked(&sdk, *state, "w/a.mjs"), target); /* and stays */
    xfree(old);
    xfree(target);
    sdk_deinit(&sdk);
}

static void a_link_to_elsewhere_is_somebody_elses(void **state)
{
    struct sdk sdk = unpack(*state);
    char *own = xasprintf("%s/own", (char *)*state);
    folder_put("own/package.json", "{}");
    folder_put("w/a.mjs", "");
    folder_put("w/node_modules/other", "");
    assert_int_equal(symlink(own, "w/node_modules/nodey"), 0);
    assert_string_equal(linked(&sdk, *state, "w/a.mjs"), own);
    xfree(own);
    sdk_deinit(&sdk);
}

/* -------------------------------------------------------------------- runners */

static void the_runner_stands_where_its_placeholder_stood(void **state)
{
    struct sdk sdk = unpack(*state);
    struct arena arena = {0};
    const char *words[] = {"node", "--require", SCRIPT_NODE_RUN, "/a.js", NULL};
    const char *others[] = {"python3", SCRIPT_PYTHON_RUN, "/a.py", NULL};
    struct string_list argv = {words, 4}, python = {others, 3};
    sdk_resolve_argv(&sdk, &arena, &argv);
    sdk_resolve_argv(&sdk, &arena, &python);
    assert_int_equal(argv.count, 4);
    assert_string_equal(argv.items[1], "--require");
    assert_int_equal(access(argv.items[2], R_OK), 0);
    assert_string_equal(argv.items[3], "/a.js");
    assert_int_equal(access(python.items[1], R_OK), 0);
    assert_string_equal(python.items[2], "/a.py");
    arena_deinit(&arena);
    sdk_deinit(&sdk);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_FOLDER(all_files_are_unpacked),
        IN_A_FOLDER(what_is_there_is_not_trusted),
        IN_A_FOLDER(a_folder_that_cannot_be_written_is_told_of),
        IN_A_FOLDER(scripts_that_import_find_the_sdk_beside_them),
        IN_A_FOLDER(an_installed_nodey_is_left_alone),
        IN_A_FOLDER(the_link_of_another_version_is_renewed),
        IN_A_FOLDER(the_runner_stands_where_its_placeholder_stood),
        IN_A_FOLDER(a_link_to_elsewhere_is_somebody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
