#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/script.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static void the_extension_tells_the_kind(void **state)
{
    static const struct {
        const char *path;
        enum script_kind kind;
    } cases[] = {
        {"a.py", SCRIPT_PYTHON},  {"/x/a.js", SCRIPT_NODE}, {"a.mjs", SCRIPT_NODE},
        {"a.cjs", SCRIPT_NODE},   {"a.ts", SCRIPT_NODE},    {"a.b.py", SCRIPT_PYTHON},
        {"a", SCRIPT_OTHER},      {"a.sh", SCRIPT_OTHER},   {"a.PY", SCRIPT_OTHER},
        {"x.py/a", SCRIPT_OTHER}, {"a.pyc", SCRIPT_OTHER},  {"", SCRIPT_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(script_kind(cases[i].path), cases[i].kind);
}

/* The argv joined by blanks, or the sentence; paths below the folder lose their front. */
static const char *run(const char *folder, const char *name)
{
    static char text[512];
    char path[256];
    struct arena a = {0};
    struct err err;
    struct string_list argv;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    text[0] = '\0';
    if (script_argv(&a, path, name, folder, &argv, &err) < 0) {
        snprintf(text, sizeof(text), "%s", err.text);
    } else {
        assert_null(argv.items[argv.count]);
        for (size_t i = 0; i < argv.count; i++) {
            const char *item = argv.items[i];
            if (strncmp(item, folder, strlen(folder)) == 0)
                item += strlen(folder) + 1;
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                     item);
        }
    }
    arena_deinit(&a);
    return text;
}

static void scripts_are_run_by_what_knows_them(void **state)
{
    folder_put("a.py", "");
    folder_put("a.js", "");
    folder_put("a.mjs", "");
    folder_put("a.cjs", "");
    folder_put("a.ts", "");
    folder_write("a", "", 0, 0755);
    folder_write("a.sh", "", 0, 0755);
    assert_string_equal(run(*state, "a.py"), "python3 a.py");
    assert_string_equal(run(*state, "a.js"), "node a.js");
    assert_string_equal(run(*state, "a.mjs"), "node a.mjs");
    assert_string_equal(run(*state, "a.cjs"), "node a.cjs");
    assert_string_equal(run(*state, "a.ts"), "node a.ts");
    assert_string_equal(run(*state, "a"), "a");
    assert_string_equal(run(*state, "a.sh"), "a.sh");
}

static void a_virtual_environment_is_found(void **state)
{
    folder_put("workers/a.py", "");
    folder_put("workers/a.js", "");
    assert_string_equal(run(*state, "workers/a.py"), "python3 workers/a.py");
    folder_put("venv/bin/python", "not executable");
    assert_string_equal(run(*state, "workers/a.py"), "python3 workers/a.py");
    folder_write("venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"), "venv/bin/python workers/a.py");
    folder_write("workers/venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"), "workers/venv/bin/python workers/a.py");
    folder_write("workers/.venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"), "workers/.venv/bin/python workers/a.py");
    assert_string_equal(run(*state, "workers/a.js"), "node workers/a.js");
}

static void what_cannot_run_is_explained(void **state)
{
    folder_put("a.sh", "");
    folder_put("d.py/x", "");
    assert_string_equal(run(*state, "nobody.py"),
                        "script nobody.py: No such file or directory");
    assert_string_equal(run(*state, "a.sh/x"), "script a.sh/x: Not a directory");
    assert_string_equal(run(*state, "d.py"), "script d.py: not a regular file");
    assert_string_equal(run(*state, "a.sh"),
                        "script a.sh: not executable, and nothing is known that runs it: "
                        "chmod +x it, or say how with command");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_extension_tells_the_kind),
        cmocka_unit_test_setup_teardown(scripts_are_run_by_what_knows_them, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_virtual_environment_is_found, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_cannot_run_is_explained, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
