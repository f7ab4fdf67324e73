#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

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
        {"a.mts", SCRIPT_NODE},   {"a.cts", SCRIPT_NODE},   {"a.rb", SCRIPT_OTHER},
        {"x.py/a", SCRIPT_OTHER}, {"a.pyc", SCRIPT_OTHER},  {"", SCRIPT_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(script_kind(cases[i].path), cases[i].kind);
}

/* The argv joined by blanks, or the sentence; paths below the folder lose their front. */
static const char *run_in(const char *folder, const char *name, const char *venv)
{
    static char text[512];
    char path[256], absolute[256];
    struct arena a = {0};
    struct err err;
    struct string_list argv;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(absolute, sizeof(absolute), "%s/%s", folder, venv ? venv : "");
    struct script script = {path, name, folder, venv ? absolute : NULL, NULL};
    text[0] = '\0';
    if (script_argv(&a, &script, &argv, &err) < 0) {
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

static const char *run(const char *folder, const char *name)
{
    return run_in(folder, name, NULL);
}

#define PYTHON " @nodey/run.py "
#define NODE   " --require @nodey/run.cjs "

static void scripts_are_run_by_what_knows_them(void **state)
{
    folder_put("a.py", "");
    folder_put("a.js", "");
    folder_put("a.mjs", "");
    folder_put("a.cjs", "");
    folder_put("a.pl", "");
    folder_put("b.sh", "");
    folder_write("a", "", 0, 0755);
    folder_write("a.sh", "", 0, 0755);
    assert_string_equal(run(*state, "a.py"), "python3" PYTHON "a.py");
    assert_string_equal(run(*state, "a.js"), "node" NODE "a.js");
    assert_string_equal(run(*state, "a.mjs"), "node" NODE "a.mjs");
    assert_string_equal(run(*state, "a.cjs"), "node" NODE "a.cjs");
    assert_string_equal(run(*state, "a.pl"), "perl a.pl");
    assert_string_equal(run(*state, "b.sh"), "sh b.sh");
    assert_string_equal(run(*state, "a"), "a");
    assert_string_equal(run(*state, "a.sh"), "a.sh");
}

static void the_first_line_says_what_runs_a_script(void **state)
{
    static const struct {
        const char *name, *line, *argv;
    } cases[] = {
        {"a.py", "#!/bin/sh\n", "/bin/sh a.py"},
        {"b.py", "#! /usr/bin/env python3\r\n", "python3" PYTHON "b.py"},
        {"c.py", "#!/usr/bin/env -S A=1 python3 -X dev\n", "python3 -X dev" PYTHON "c.py"},
        {"d.py", "#!/nowhere/python3.99 -u\n", "python3 -u" PYTHON "d.py"},
        {"e.py", "#!/nowhere/uv run\n", "python3" PYTHON "e.py"},
        {"f.py", "#!", "python3" PYTHON "f.py"},
        {"g.py", "#!/usr/bin/env", "python3" PYTHON "g.py"},
        {"h.py", "#!/bin/sh \"\n", "python3" PYTHON "h.py"},
        {"a.js", "#!/usr/bin/env -S node --no-warnings\n", "node --no-warnings" NODE "a.js"},
        {"b.js", "#!/usr/bin/env sh\n", "sh b.js"},
        {"c.js", "#!/usr/bin/env nodemon\n", "node" NODE "c.js"},
        {"a.pl", "#!/bin/sh -e\n", "/bin/sh -e a.pl"},
        {"b.pl", " #!/bin/sh\n", "perl b.pl"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        folder_put(cases[i].name, cases[i].line);
        assert_string_equal(run(*state, cases[i].name), cases[i].argv);
    }
}

static void a_first_line_without_end_is_none(void **state)
{
    char text[1024] = "#!/bin/sh ";
    memset(text + strlen(text), 'x', sizeof(text) - 1 - strlen(text));
    text[sizeof(text) - 1] = '\0';
    folder_put("a.py", text);
    assert_string_equal(run(*state, "a.py"), "python3" PYTHON "a.py");
}

static void a_virtual_environment_is_found(void **state)
{
    folder_put("workers/a.py", "#!/bin/sh\n");
    folder_put("workers/a.js", "");
    folder_put("workers/deep/src/b.py", "#!/usr/bin/python3 -u\n");
    assert_string_equal(run(*state, "workers/a.py"), "/bin/sh workers/a.py");
    folder_put("venv/bin/python", "not executable");
    assert_string_equal(run(*state, "workers/a.py"), "/bin/sh workers/a.py");
    folder_write("venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"), "venv/bin/python" PYTHON "workers/a.py");
    assert_string_equal(run(*state, "workers/deep/src/b.py"),
                        "venv/bin/python -u" PYTHON "workers/deep/src/b.py");
    folder_write("workers/venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"),
                        "workers/venv/bin/python" PYTHON "workers/a.py");
    folder_write("workers/.venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/a.py"),
                        "workers/.venv/bin/python" PYTHON "workers/a.py");
    folder_write("workers/deep/venv/bin/python", "", 0, 0755);
    assert_string_equal(run(*state, "workers/deep/src/b.py"),
                        "workers/deep/venv/bin/python -u" PYTHON "workers/deep/src/b.py");
    assert_string_equal(run(*state, "workers/a.js"), "node" NODE "workers/a.js");
}

static void an_environment_above_the_configuration_is_not_ours(void **state)
{
    char inner[256];
    folder_write("venv/bin/python", "", 0, 0755);
    folder_put("in/workers/a.py", "");
    snprintf(inner, sizeof(inner), "%s/in", (const char *)*state);
    assert_string_equal(run(inner, "workers/a.py"), "python3" PYTHON "workers/a.py");
}

static void an_environment_may_be_named(void **state)
{
    folder_put("a.py", "");
    folder_write("venv/bin/python", "", 0, 0755);
    folder_write("envs/x/bin/python", "", 0, 0755);
    assert_string_equal(run_in(*state, "a.py", "envs/x"), "envs/x/bin/python" PYTHON "a.py");
    const char *text = run_in(*state, "a.py", "envs/y");
    assert_non_null(strstr(text, "script a.py: venv \"/"));
    assert_non_null(strstr(text, "envs/y\": there is no bin/python in it; make it with  "
                                 "python3 -m venv /"));
}

/* Puts a program of that name, which prints the text, first into PATH. */
static void install(const char *folder, const char *name, const char *script)
{
    char path[256], all[512];
    snprintf(path, sizeof(path), "bin/%s", name);
    folder_write(path, script, strlen(script), 0755);
    snprintf(all, sizeof(all), "%s/bin:/usr/bin:/bin", folder);
    setenv("PATH", all, 1);
}

static void typescript_is_run_as_the_installed_node_wants_it(void **state)
{
    static const struct {
        const char *says, *argv;
    } cases[] = {
        {"echo v24.1.0", "node" NODE "a.ts"},
        {"echo v23.6.0", "node" NODE "a.ts"},
        {"echo v23.5.0", "node --experimental-strip-types" NODE "a.ts"},
        {"echo v22.18.0", "node" NODE "a.ts"},
        {"echo v22.17.1", "node --experimental-strip-types" NODE "a.ts"},
        {"echo v22.6.0", "node --experimental-strip-types" NODE "a.ts"},
        {"echo v22.5.9",
         "script a.ts: TypeScript needs Node 22.6 or newer, and this is v22.5.9: "
         "install one, or say what runs it with command"},
        {"echo v18.20.4",
         "script a.ts: TypeScript needs Node 22.6 or newer, and this is v18.20.4: "
         "install one, or say what runs it with command"},
        {"echo what", "node" NODE "a.ts"},
        {"exit 1", "node" NODE "a.ts"},
    };

    char *path = strdup(getenv("PATH")), script[128];

    folder_put("a.ts", "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(script, sizeof(script), "#!/bin/sh\n%s\n", cases[i].says);
        install(*state, "node", script);
        assert_string_equal(run(*state, "a.ts"), cases[i].argv);
    }
    setenv("PATH", path, 1);
    free(path);
}

static void a_node_that_does_not_answer_is_not_waited_for(void **state)
{
    char *path = strdup(getenv("PATH"));
    struct timespec begin, end;
    folder_put("a.ts", "");
    install(*state, "node", "#!/bin/sh\nexec sleep 60\n");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_string_equal(run(*state, "a.ts"), "node" NODE "a.ts");
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - begin.tv_sec, 1, 20);
    setenv("PATH", path, 1);
    free(path);
}

static void an_interpreter_that_is_not_installed_is_named(void **state)
{
    char *path = strdup(getenv("PATH"));
    folder_put("a.rb", "");
    folder_put("a.py", "");
    setenv("PATH", *state, 1);
    assert_string_equal(run(*state, "a.rb"),
                        "script a.rb: ruby is not installed, which runs such files "
                        "(apt-get install ruby)");
    assert_string_equal(run(*state, "a.py"), "python3" PYTHON "a.py");
    setenv("PATH", path, 1);
    free(path);
}

static void what_cannot_run_is_explained(void **state)
{
    folder_put("a.tcl", "");
    folder_put("a.sh", "");
    folder_put("d.py/x", "");
    assert_string_equal(run(*state, "nobody.py"),
                        "script nobody.py: No such file or directory");
    assert_string_equal(run(*state, "a.sh/x"), "script a.sh/x: Not a directory");
    assert_string_equal(run(*state, "d.py"), "script d.py: not a regular file");
    assert_string_equal(run(*state, "a.tcl"),
                        "script a.tcl: not executable, and nothing is known that runs it: "
                        "chmod +x it, or say how with command");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_extension_tells_the_kind),
        IN_FOLDER(scripts_are_run_by_what_knows_them),
        IN_FOLDER(the_first_line_says_what_runs_a_script),
        IN_FOLDER(a_first_line_without_end_is_none),
        IN_FOLDER(a_virtual_environment_is_found),
        IN_FOLDER(an_environment_above_the_configuration_is_not_ours),
        IN_FOLDER(an_environment_may_be_named),
        IN_FOLDER(typescript_is_run_as_the_installed_node_wants_it),
        IN_FOLDER(a_node_that_does_not_answer_is_not_waited_for),
        IN_FOLDER(an_interpreter_that_is_not_installed_is_named),
        IN_FOLDER(what_cannot_run_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
