#include "config/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/value.h"

enum { SHEBANG_MAX = 256 }; /* bytes of a first line: as the kernel */

static const struct interpreter {
    const char *extension;
    const char *program;
    const char *package; /* of Debian */
    enum script_kind kind;
} interpreters[] = {
    {".py", "python3", "python3", SCRIPT_PYTHON}, {".js", "node", "nodejs", SCRIPT_NODE},
    {".mjs", "node", "nodejs", SCRIPT_NODE},      {".cjs", "node", "nodejs", SCRIPT_NODE},
    {".ts", "node", "nodejs", SCRIPT_NODE},       {".mts", "node", "nodejs", SCRIPT_NODE},
    {".cts", "node", "nodejs", SCRIPT_NODE},      {".rb", "ruby", "ruby", SCRIPT_OTHER},
    {".pl", "perl", "perl", SCRIPT_OTHER},        {".lua", "lua", "lua5.4", SCRIPT_OTHER},
    {".php", "php", "php-cli", SCRIPT_OTHER},     {".sh", "sh", "dash", SCRIPT_OTHER},
    {".bash", "bash", "bash", SCRIPT_OTHER},
};

static int PRINTF_LIKE(4, 5)
    fail(const struct script *s, struct err *err, int code, const char *fmt, ...)
{
    char why[sizeof(err->text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    if (s->shown)
        return err_set(err, code, "script %s: %s", s->shown, why);
    return err_set(err, code, "%s", why);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const struct interpreter *interpreter_of(const char *path)
{
    const char *dot = strrchr(base_name(path), '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(interpreters); i++)
        if (strcmp(dot, interpreters[i].extension) == 0)
            return &interpreters[i];
    return NULL;
}

enum script_kind script_kind(const char *path)
{
    const struct interpreter *known = interpreter_of(path);
    return known ? known->kind : SCRIPT_OTHER;
}

const char *script_interpreter(const char *path)
{
    const struct interpreter *known = interpreter_of(path);
    return known ? known->program : NULL;
}

bool script_is_typescript(const char *path)
{
    const char *dot = strrchr(base_name(path), '.');
    return dot &&
           (strcmp(dot, ".ts") == 0 || strcmp(dot, ".mts") == 0 || strcmp(dot, ".cts") == 0);
}

bool script_is_installed(const char *program)
{
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    const char *at = getenv("PATH");
    bool found = false;
    while (at && !found) {
        size_t len = strcspn(at, ":");
        char *path = xasprintf("%.*s/%s", (int)len, at, program);
        found = len > 0 && access(path, X_OK) == 0;
        xfree(path);
        at = at[len] ? at + len + 1 : NULL;
    }
    return found;
}

/* ------------------------------------------------------------------ first line */

/* The words behind "#!", without env and its assignments; none when it has no such line. */
static struct string_list read_shebang(struct arena *a, const char *path)
{
    char line[SHEBANG_MAX];
    struct string_list words = string_list_none(a);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (fd >= 0)
        close(fd);
    line[n > 0 ? n : 0] = '\0';
    struct slice text = {line, strcspn(line, "\r\n")};
    if (!slice_starts(text, SLICE("#!")) || text.len == sizeof(line) - 1 ||
        value_words(slice_from(text, 2), a, &words))
        return string_list_none(a);
    bool env = words.count && strcmp(base_name(words.items[0]), "env") == 0;
    while (env && words.count &&
           (strcmp(base_name(words.items[0]), "env") == 0 ||
            strcmp(words.items[0], "-S") == 0 || strchr(words.items[0], '='))) {
        words.items++;
        words.count--;
    }
    return words;
}

/* "python3.12", "pypy3" */
static bool names_python(const struct string_list *shebang)
{
    const char *name = shebang->count ? base_name(shebang->items[0]) : "";
    return strncmp(name, "python", 6) == 0 || strncmp(name, "pypy", 4) == 0;
}

static bool names_node(const struct string_list *shebang)
{
    const char *name = shebang->count ? base_name(shebang->items[0]) : "";
    return strcmp(name, "node") == 0 || strcmp(name, "nodejs") == 0;
}

bool script_is_for_node(const char *path)
{
    struct arena a = {0};
    struct string_list shebang = read_shebang(&a, path);
    bool found = names_node(&shebang);
    arena_deinit(&a);
    return found;
}

static bool names_installed(const struct string_list *shebang)
{
    return shebang->count && script_is_installed(shebang->items[0]);
}

/* ----------------------------------------------------------- virtual environments */

/* The Python of a virtual environment in the folder, or NULL. */
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

/* Of the nearest environment: beside the script, and up to the configuration's folder. */
static const char *nearest_python(struct arena *a, const struct script *s)
{
    size_t top = strlen(s->dir);
    struct slice at = slice_of(s->path);
    bool inside = strncmp(s->path, s->dir, top) == 0 && s->path[top] == '/';
    const char *python = NULL;
    do {
        while (at.len && at.ptr[at.len - 1] != '/')
            at.len--;
        at.len -= at.len > 0;
        python = venv_python(a, at);
    } while (!python && inside && at.len > top);
    return python || inside ? python : venv_python(a, slice_of(s->dir));
}

/* NULL in *python: there is none, and it may be any. */
static int find_python(struct arena *a, const struct script *s, const char **python,
                       struct err *err)
{
    if (!s->venv) {
        *python = nearest_python(a, s);
        return 0;
    }
    char *path = xasprintf("%s/bin/python", s->venv);
    *python = arena_strdup(a, slice_of(path));
    xfree(path);
    if (access(*python, X_OK) == 0)
        return 0;
    return fail(s, err, -ENOENT,
                "venv %s: there is no bin/python in it; make it with  python3 -m venv %s",
                value_quote(a, slice_of(s->venv)), s->venv);
}

/* ------------------------------------------------------------------------ argv */

struct words {
    const char *items[8 + SHEBANG_MAX / 2];
    size_t count;
};

static void add(struct words *w, const char *word)
{
    w->items[w->count++] = word;
}

static void add_all(struct words *w, const struct string_list *list, size_t from)
{
    for (size_t i = from; i < list->count; i++)
        add(w, list->items[i]);
}

static int python_argv(struct arena *a, const struct script *s,
                       const struct string_list *shebang, struct words *w, struct err *err)
{
    const char *python = NULL;
    bool own = names_python(shebang);
    if (find_python(a, s, &python, err) < 0)
        return err->code;
    if (!python && !own && names_installed(shebang)) {
        add_all(w, shebang, 0);
        return 0;
    }
    if (!python && own && names_installed(shebang))
        python = shebang->items[0];
    add(w, python ? python : "python3");
    if (own)
        add_all(w, shebang, 1);
    add(w, SCRIPT_PYTHON_RUN);
    return 0;
}

static int fail_types(const struct script *s, const struct node_version *v, struct err *err)
{
    return fail(s, err, -ENOTSUP,
                "TypeScript needs Node 22.6 or newer, and this is %s: install "
                "one, or say what runs it with command",
                v->text);
}

static int node_argv(const struct script *s, const struct string_list *shebang, struct words *w,
                     struct err *err)
{
    struct node_version once = {0}, *version = s->node ? s->node : &once;
    bool own = names_node(shebang), named = names_installed(shebang);
    if (!own && named) {
        add_all(w, shebang, 0);
        return 0;
    }
    add(w, own && named ? shebang->items[0] : "node");
    if (own)
        add_all(w, shebang, 1);
    if (script_is_typescript(s->path)) {
        node_version_ask(version, w->items[0]);
        if (node_types(version) == NODE_TYPES_NEVER)
            return fail_types(s, version, err);
        if (node_types(version) == NODE_TYPES_FLAG)
            add(w, NODE_TYPES_OPTION);
    }
    add(w, "--require");
    add(w, SCRIPT_NODE_RUN);
    return 0;
}

/* Executable files say themselves what runs them. */
static int other_argv(const struct script *s, const struct string_list *shebang,
                      struct words *w, struct err *err)
{
    const struct interpreter *known = interpreter_of(s->path);
    if (access(s->path, X_OK) == 0)
        return 0;
    if (!known)
        return fail(s, err, -EACCES,
                    "not executable, and nothing is known that runs it: "
                    "chmod +x it, or say how with command");
    if (names_installed(shebang)) {
        add_all(w, shebang, 0);
        return 0;
    }
    if (!script_is_installed(known->program))
        return fail(s, err, -ENOENT,
                    "%s is not installed, which runs such files (apt-get "
                    "install %s)",
                    known->program, known->package);
    add(w, known->program);
    return 0;
}

int script_argv(struct arena *a, const struct script *s, struct string_list *argv,
                struct err *err)
{
    struct stat st;
    struct words words = {.count = 0};
    enum script_kind kind = script_kind(s->path);
    if (stat(s->path, &st) < 0 || (kind != SCRIPT_OTHER && access(s->path, R_OK) < 0)) {
        int code = errno;
        return fail(s, err, -code, "%s", strerror(code));
    }
    if (!S_ISREG(st.st_mode))
        return fail(s, err, -EINVAL, "not a regular file");
    struct string_list shebang = read_shebang(a, s->path);
    if (kind == SCRIPT_OTHER && !strchr(base_name(s->path), '.') && names_node(&shebang))
        kind = SCRIPT_NODE; /* bin/www */
    int code = kind == SCRIPT_PYTHON ? python_argv(a, s, &shebang, &words, err)
               : kind == SCRIPT_NODE ? node_argv(s, &shebang, &words, err)
                                     : other_argv(s, &shebang, &words, err);
    if (code < 0)
        return code;
    add(&words, s->path);
    *argv = string_list_of(a, words.items, words.count);
    return 0;
}

int script_app_argv(struct arena *a, const struct script *s, const char *app,
                    struct string_list *argv, struct err *err)
{
    const char *python = NULL;
    struct words words = {.count = 0};
    if (find_python(a, s, &python, err) < 0)
        return err->code;
    add(&words, python ? python : "python3");
    add(&words, SCRIPT_PYTHON_RUN);
    add(&words, "--app");
    add(&words, app);
    *argv = string_list_of(a, words.items, words.count);
    return 0;
}
