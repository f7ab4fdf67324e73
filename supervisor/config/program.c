#include "config/program.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/imports.h"
#include "config/script.h"
#include "config/value.h"
#include "config/webapp.h"

const char program_not_importing[] = "it neither imports nodey nor is a web app";

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

static bool ends_with_any(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (ends_with(name, *ends))
            return true;
    return false;
}

bool program_is_ignored(const char *name, bool folder)
{
    static const char *const data[] = {".json", ".md",   ".txt",   ".toml",  ".lock",
                                       ".cfg",  ".ini",  ".log",   ".csv",   ".yml",
                                       ".yaml", ".d.ts", ".d.mts", ".d.cts", NULL};
    if (name[0] == '.' || name[0] == '_')
        return true;
    if (folder)
        return strcmp(name, "node_modules") == 0 || strcmp(name, "venv") == 0;
    return ends_with_any(name, data);
}

/* ------------------------------------------------------------------------ text */

void program_read(const char *path, size_t max, struct buf *text)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (n > 0 && text->len < max) {
        n = read(fd, buf_reserve(text, max - text->len), max - text->len);
        text->len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
}

static bool in_word(const char *at, const char *text, const char *end)
{
    return at >= text && at < end && (isalnum((unsigned char)*at) || *at == '_');
}

/* "nodey", in any case and also as PyNodey, which one of its ancestors was called. */
static bool mentions_nodey(struct slice text)
{
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at && end - at >= 5; at++) {
        if ((*at != 'n' && *at != 'N') || strncasecmp(at, "nodey", 5) != 0 ||
            in_word(at + 5, text.ptr, end))
            continue;
        bool prefixed = at - text.ptr >= 2 && strncasecmp(at - 2, "py", 2) == 0;
        if (!in_word(at - (prefixed ? 3 : 1), text.ptr, end))
            return true;
    }
    return false;
}

static bool is_any(char c, const char *set)
{
    return c && strchr(set, c);
}

/* Where the word stands between quotes (or backslashes and quotes), at `from` or later. */
static const char *find_quoted(struct slice text, const char *from, const char *word)
{
    size_t len = strlen(word);
    const char *at = from, *end = text.ptr + text.len;
    for (; at && (at = memmem(at, (size_t)(end - at), word, len)); at++)
        if (at > text.ptr && is_any(at[-1], "\"'`") && at + len < end &&
            is_any(at[len], "\"'`\\"))
            return at;
    return NULL;
}

/* {"type":"ready"} as any language may write it: type: 'ready', "type" => "ready". */
static bool says_ready(struct slice text)
{
    for (const char *at = text.ptr; at && (at = find_quoted(text, at, "ready")); at++) {
        const char *before = at;
        while (before > text.ptr && is_any(before[-1], "\"'`\\ \t:=>,"))
            before--;
        if (before - text.ptr >= 4 && memcmp(before - 4, "type", 4) == 0)
            return true;
    }
    return false;
}

/* With the SDK, or by hand. */
static bool speaks(const char *path)
{
    struct buf text = {0};
    program_read(path, PROGRAM_TEXT_MAX, &text);
    struct slice all = buf_slice(&text);
    bool found = mentions_nodey(all) || says_ready(all);
    buf_deinit(&text);
    return found;
}

enum script_kind program_kind(const char *path)
{
    enum script_kind kind = script_kind(path);
    if (kind == SCRIPT_OTHER && !strchr(strrchr(path, '/') + 1, '.') &&
        script_is_for_node(path))
        return SCRIPT_NODE;
    return kind;
}

/* The app of `require('./app').listen(3000)` is made in the other file. */
static bool listens_for_another(const char *path, struct slice text)
{
    struct arena a = {0};
    struct string_list others = {NULL, 0};
    bool found = false;
    if (webapp_listens(text))
        others = imports_of(&a, path);
    for (size_t i = 0; i < others.count && !found; i++) {
        struct buf other = {0};
        program_read(others.items[i], PROGRAM_TEXT_MAX, &other);
        found = webapp_is_exported(buf_slice(&other));
        buf_deinit(&other);
    }
    arena_deinit(&a);
    return found;
}

bool program_is_app(const char *path)
{
    struct buf text = {0};
    enum script_kind kind = program_kind(path);
    program_read(path, PROGRAM_TEXT_MAX, &text);
    struct slice all = buf_slice(&text);
    bool found =
        webapp_in_text(all, kind) || (kind == SCRIPT_NODE && listens_for_another(path, all));
    buf_deinit(&text);
    return found;
}

/* An app, which need not know of nodey; or one that counts on being taken for ready. */
static bool serves(const char *path)
{
    if (program_kind(path) != SCRIPT_OTHER)
        return program_is_app(path);
    struct buf text = {0};
    program_read(path, PROGRAM_TEXT_MAX, &text);
    bool found = find_quoted(buf_slice(&text), text.ptr, "id") != NULL;
    buf_deinit(&text);
    return found;
}

static bool has_shebang(const char *path)
{
    struct buf text = {0};
    program_read(path, 2, &text);
    bool found = slice_is(buf_slice(&text), "#!");
    buf_deinit(&text);
    return found;
}

/* ----------------------------------------------------------------------- files */

static bool is_test(const char *name, enum script_kind kind)
{
    struct slice all = slice_of(name);
    if (kind == SCRIPT_PYTHON)
        return slice_starts(all, SLICE("test_")) || ends_with(name, "_test.py") ||
               slice_is(all, "conftest.py");
    size_t stem = (size_t)(strrchr(name, '.') - name);
    struct slice front = {name, stem};
    const struct slice ends[] = {SLICE(".test"), SLICE(".spec")};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (stem > ends[i].len && slice_eq(slice_from(front, stem - ends[i].len), ends[i]))
            return true;
    return false;
}

const char *program_refuse_file(const char *path)
{
    static const char *const libraries[] = {".so", ".o", ".a", ".pyc", ".pyo", ".node", NULL};
    const char *name = strrchr(path, '/') + 1;
    enum script_kind kind = script_kind(path);
    bool executable = access(path, X_OK) == 0;
    if (ends_with_any(name, libraries))
        return "a library";
    if (kind == SCRIPT_OTHER && executable)
        return NULL;
    if (kind == SCRIPT_OTHER && !script_interpreter(path))
        return "neither a script that nodey knows nor executable (chmod +x)";
    if (access(path, R_OK) < 0)
        return strerror(errno);
    if (kind != SCRIPT_OTHER && is_test(name, kind))
        return "a test";
    if ((executable && has_shebang(path)) || speaks(path) || serves(path))
        return NULL;
    return kind == SCRIPT_OTHER ? "it reads no requests (if it does, chmod +x)"
                                : program_not_importing;
}

/* --------------------------------------------------------------------- folders */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The first of the names that is a file in the folder, or NULL. */
static const char *first_file(struct arena *a, const char *folder, const char *const *names)
{
    const char *found = NULL;
    for (; *names && !found; names++) {
        char *path = xasprintf("%s/%s", folder, *names);
        if (is_file(path))
            found = arena_strdup(a, slice_of(path));
        xfree(path);
    }
    return found;
}

/* As Node looks for what `main` names: itself, with an extension, or a folder's index. */
static const char *named_main(struct arena *a, const char *folder, const char *name)
{
    static const char *const ends[] = {"", ".js", ".mjs", ".cjs", ".json", "/index.js"};
    const char *found = NULL;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    for (size_t i = 0; i < ARRAY_LEN(ends) && !found; i++) {
        char *path = xasprintf("%s/%s%s", folder, name, ends[i]);
        if (is_file(path) && program_kind(path) == SCRIPT_NODE)
            found = arena_strdup(a, slice_of(path));
        xfree(path);
    }
    return found;
}

static const char *sentence(struct arena *a, char *text)
{
    const char *kept = arena_strdup(a, slice_of(text));
    xfree(text);
    return kept;
}

/* The file of scripts.start, "node --enable-source-maps src/server.js"; or NULL. */
static const char *started_main(struct arena *a, const char *folder, const json_t *package)
{
    const char *start =
        json_string_value(json_object_get(json_object_get(package, "scripts"), "start"));
    struct string_list words;
    if (!start || value_words(slice_of(start), a, &words) || words.count < 2 ||
        strcmp(words.items[0], "node") != 0)
        return NULL;
    for (size_t i = 1; i < words.count; i++)
        if (words.items[i][0] != '-')
            return named_main(a, folder, words.items[i]);
    return NULL;
}

/* What package.json says; an absent or wrong `main` leaves it to the usual names. */
static const char *package_main(struct arena *a, const char *folder, struct slice text,
                                const char **why)
{
    static const char *const usual[] = {"index.js",  "index.mjs", "index.cjs", "index.ts",
                                        "server.js", "app.js",    NULL};
    json_error_t error;
    json_t *package = json_loadb(text.ptr ? text.ptr : "", text.len, 0, &error);
    const char *name = json_string_value(json_object_get(package, "main"));
    const char *found = name && *name ? named_main(a, folder, name) : NULL;
    if (!found)
        found = started_main(a, folder, package);
    if (!package)
        *why = sentence(
            a, xasprintf("its package.json is no JSON: line %d: %s", error.line, error.text));
    else if (!found && name && *name)
        *why = sentence(a, xasprintf("its package.json has the main %s, which is not there",
                                     value_quote(a, slice_of(name))));
    json_decref(package);
    return found ? found : first_file(a, folder, usual);
}

const char *program_main(struct arena *a, const char *folder, const char **why)
{
    static const char *const usual[] = {"index.js",    "index.mjs", "index.cjs", "index.ts",
                                        "__main__.py", "main.py",   "app.py",    NULL};
    char *path = xasprintf("%s/package.json", folder);
    const char *found = NULL;
    *why = NULL;
    if (is_file(path)) {
        struct buf text = {0};
        program_read(path, PROGRAM_TEXT_MAX, &text);
        found = package_main(a, folder, buf_slice(&text), why);
        buf_deinit(&text);
    }
    xfree(path);
    if (!found)
        found = first_file(a, folder, usual);
    if (found)
        *why = NULL;
    return found;
}

static bool entry_speaks(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    bool wanted = script_kind(name) != SCRIPT_OTHER || strcmp(name, "package.json") == 0;
    bool found = wanted && speaks(path);
    xfree(path);
    return found;
}

static bool files_speak(const char *folder)
{
    DIR *dir = opendir(folder);
    bool found = false;
    const struct dirent *entry;
    for (int i = 0; dir && !found && i < PROGRAM_FILES_MAX && (entry = readdir(dir)); i++)
        found = entry_speaks(folder, entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

bool program_folder_speaks(const char *folder, const char *main)
{
    size_t len = (size_t)(strrchr(main, '/') - main);
    char *beside = xstrndup(main, len);
    bool found = speaks(main) || serves(main) || files_speak(folder) ||
                 (strcmp(beside, folder) != 0 && files_speak(beside));
    xfree(beside);
    return found;
}
