#include "config/script.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum script_kind script_kind(const char *path)
{
    static const char *const node[] = {".js", ".mjs", ".cjs", ".ts"};
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');
    if (!dot)
        return SCRIPT_OTHER;
    if (strcmp(dot, ".py") == 0)
        return SCRIPT_PYTHON;
    for (size_t i = 0; i < ARRAY_LEN(node); i++)
        if (strcmp(dot, node[i]) == 0)
            return SCRIPT_NODE;
    return SCRIPT_OTHER;
}

/* The virtual environment's Python under `dir`, or NULL. */
static const char *venv_python(struct arena *a, struct slice dir)
{
    static const char *const places[] = {".venv/bin/python", "venv/bin/python"};
    const char *python = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places) && !python; i++) {
        char *path = xasprintf(SLICE_FMT "/%s", SLICE_ARG(dir), places[i]);
        if (access(path, X_OK) == 0)
            python = arena_strdup(a, slice_of(path));
        xfree(path);
    }
    return python;
}

static const char *python_for(struct arena *a, const char *script, const char *dir)
{
    const char *slash = strrchr(script, '/');
    const char *python = NULL;
    if (slash)
        python = venv_python(a, (struct slice){script, (size_t)(slash - script)});
    if (!python)
        python = venv_python(a, slice_of(dir));
    return python ? python : "python3";
}

int script_argv(struct arena *a, const char *script, const char *shown, const char *dir,
                struct string_list *argv, struct err *err)
{
    struct stat st;
    enum script_kind kind = script_kind(script);
    if (stat(script, &st) < 0 || (kind != SCRIPT_OTHER && access(script, R_OK) < 0)) {
        int code = errno;
        return err_set(err, -code, "script %s: %s", shown, strerror(code));
    }
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "script %s: not a regular file", shown);
    if (kind == SCRIPT_OTHER && access(script, X_OK) < 0)
        return err_set(err, -EACCES,
                       "script %s: not executable, and nothing is known that runs it: "
                       "chmod +x it, or say how with command",
                       shown);
    struct string_list list = {arena_alloc(a, 3 * sizeof(char *)), 0};
    if (kind == SCRIPT_PYTHON)
        list.items[list.count++] = python_for(a, script, dir);
    if (kind == SCRIPT_NODE)
        list.items[list.count++] = "node";
    list.items[list.count++] = script;
    list.items[list.count] = NULL;
    *argv = list;
    return 0;
}
