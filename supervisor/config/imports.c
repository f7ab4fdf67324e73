#include "config/imports.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "config/program.h"
#include "config/script.h"
#include "config/value.h"

static bool is_file(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

/* What stands before the quote: require( or import( or import or from. */
static bool is_import(struct slice before)
{
    static const char *const words[] = {"require", "import", "from"};
    before = slice_trim(before);
    if (before.len && before.ptr[before.len - 1] == '(')
        before = slice_trim((struct slice){before.ptr, before.len - 1});
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);
        if (before.len >= len && memcmp(before.ptr + before.len - len, words[i], len) == 0)
            return true;
    }
    return false;
}

/* As Node looks for it: itself, with an extension, or a folder's index. */
static const char *resolve(struct arena *a, struct slice folder, struct slice name)
{
    static const char *const ends[] = {"",    ".js",       ".mjs",       ".cjs",
                                       ".ts", "/index.js", "/index.mjs", "/index.cjs"};
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ends) && !found; i++) {
        struct stat st;
        char *path = xasprintf(SLICE_FMT "/" SLICE_FMT "%s", SLICE_ARG(folder), SLICE_ARG(name),
                               ends[i]);
        if (is_file(path, &st))
            found = arena_strdup(a, slice_of(path));
        xfree(path);
    }
    return found;
}

struct string_list imports_of(struct arena *a, const char *path)
{
    const char *items[IMPORTS_MAX];
    size_t count = 0;
    struct buf text = {0};
    struct slice folder = {path, (size_t)(strrchr(path, '/') - path)};
    if (program_kind(path) == SCRIPT_NODE)
        program_read(path, PROGRAM_TEXT_MAX, &text);
    const char *begin = text.ptr, *end = begin + text.len, *at = begin;
    for (; at && count < IMPORTS_MAX && (at = memmem(at, (size_t)(end - at), "./", 2)); at++) {
        const char *open = at - 1;
        if (open > begin && *open == '.')
            open--; /* ../x */
        if (open < begin || !strchr("'\"`", *open) ||
            !is_import((struct slice){begin, (size_t)(open - begin)}))
            continue;
        const char *close = memchr(open + 1, *open, (size_t)(end - open - 1));
        struct slice name = {open + 1, close ? (size_t)(close - open - 1) : 0};
        const char *found = name.len ? resolve(a, folder, name) : NULL;
        if (found)
            items[count++] = found;
    }
    buf_deinit(&text);
    return string_list_of(a, items, count);
}

bool imports_file(const char *importer, const char *path)
{
    struct arena a = {0};
    struct stat wanted, st;
    struct string_list all = imports_of(&a, importer);
    bool found = false;
    for (size_t i = 0; i < all.count && !found && is_file(path, &wanted); i++)
        found = is_file(all.items[i], &st) && st.st_dev == wanted.st_dev &&
                st.st_ino == wanted.st_ino;
    arena_deinit(&a);
    return found;
}
