#include "import/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMMENT_WIDTH = 92 };

char *text_format(struct arena *a, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    text = arena_alloc(a, (size_t)len + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

/* ------------------------------------------------------------------------- TOML */

void text_add_toml(struct buf *b, struct slice text)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else if (c == '\n')
            buf_adds(b, "\\n");
        else if (c == '\t')
            buf_adds(b, "\\t");
        else if (c < ' ' || c == 0x7f)
            buf_addf(b, "\\u%04X", c);
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

void text_add_list(struct buf *b, const struct string_list *list)
{
    buf_addc(b, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_adds(b, i ? ", " : "");
        text_add_toml(b, slice_of(list->items[i]));
    }
    buf_addc(b, ']');
}

void text_add_key(struct buf *b, struct slice key)
{
    size_t bare = 0;
    while (bare < key.len && (isalnum((unsigned char)key.ptr[bare]) || key.ptr[bare] == '_' ||
                              key.ptr[bare] == '-'))
        bare++;
    if (bare == key.len && key.len)
        buf_add(b, key);
    else
        text_add_toml(b, key);
}

void text_add_comment(struct buf *b, const char *before, const char *sentence)
{
    const char *at = sentence;
    size_t width = COMMENT_WIDTH - strlen(before);
    while (*at) {
        size_t len = strcspn(at, "\r\n"), line = len;
        if (line > width) {
            line = width;
            while (line && at[line] != ' ')
                line--;
            if (line == 0)
                line = strcspn(at, " \r\n"); /* a word is not cut */
        }
        buf_adds(b, before);
        for (size_t i = 0; i < line; i++)
            buf_addc(b, (unsigned char)at[i] < ' ' || at[i] == 0x7f ? ' ' : at[i]);
        buf_addc(b, '\n');
        at += line;
        at += strspn(at, " \r\n");
    }
}

/* ------------------------------------------------------------------------ shells */

struct slice text_literal(struct arena *a, struct slice text)
{
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        buf_addc(&out, text.ptr[i]);
        if (text.ptr[i] == '$')
            buf_addc(&out, '$');
    }
    struct slice kept = {arena_strdup(a, buf_slice(&out)), out.len};
    buf_deinit(&out);
    return kept;
}

static bool is_safe(char c)
{
    return isalnum((unsigned char)c) || memchr("_-./:=,@%+", c, 10);
}

void text_add_shell_word(struct buf *b, struct slice word)
{
    bool safe = word.len > 0;
    for (size_t i = 0; i < word.len; i++)
        safe = safe && is_safe(word.ptr[i]);
    if (safe) {
        buf_add(b, word);
        return;
    }
    buf_addc(b, '\'');
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] == '\'')
            buf_adds(b, "'\\''");
        else
            buf_addc(b, word.ptr[i]);
    buf_addc(b, '\'');
}

bool text_needs_shell(struct slice line)
{
    size_t name = 0;
    while (name < line.len && (isalnum((unsigned char)line.ptr[name]) || line.ptr[name] == '_'))
        name++;
    if (name && name < line.len && line.ptr[name] == '=')
        return true; /* NAME=value before the command */
    for (size_t i = 0; i < line.len; i++)
        if (memchr("$`;&|<>()*?[]{}~#!\n", line.ptr[i], 19))
            return true;
    return false;
}

/* --------------------------------------------------------------------- variables */

void text_list_add(struct arena *a, struct string_list *list, const char *word)
{
    const char **items = arena_alloc(a, (list->count + 2) * sizeof(*items));
    if (list->count)
        memcpy(items, list->items, list->count * sizeof(*items));
    items[list->count++] = word;
    items[list->count] = NULL;
    list->items = items;
}

const char *text_variable(const struct string_list *list, struct slice name)
{
    const char *found = NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct slice entry = slice_of(list->items[i]);
        if (slice_starts(entry, name) && entry.ptr[name.len] == '=')
            found = entry.ptr + name.len + 1;
    }
    return found;
}

static size_t name_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len && (isalnum((unsigned char)text.ptr[len]) || text.ptr[len] == '_'))
        len++;
    return len;
}

/* What stands between the braces. */
static void expand_braced(struct buf *out, struct slice in, const struct string_list *vars)
{
    struct slice name = {in.ptr, name_length(in)}, word = slice_from(in, name.len);
    const char *value = text_variable(vars, name);
    bool colon = word.len && word.ptr[0] == ':', set = value && (!colon || *value);
    word = slice_from(word, colon);
    char operator= word.len ? word.ptr[0] : '\0';
    if (operator== '+')
        buf_add(out, set ? slice_from(word, 1) : (struct slice){"", 0});
    else if (set || operator!= '-')
        buf_adds(out, value ? value : "");
    else
        buf_add(out, slice_from(word, 1));
}

struct slice text_expand(struct arena *a, struct slice text, const struct string_list *vars)
{
    struct buf out = {0};
    while (text.len) {
        struct slice rest = slice_from(text, 1);
        size_t name = name_length(rest);
        const char *end =
            rest.len && rest.ptr[0] == '{' ? memchr(rest.ptr, '}', rest.len) : NULL;
        if (text.ptr[0] == '\\' && rest.len && rest.ptr[0] == '$') {
            buf_addc(&out, '$');
            text = slice_from(rest, 1);
        } else if (text.ptr[0] != '$' || (!name && !end)) {
            buf_addc(&out, text.ptr[0]);
            text = rest;
        } else if (end) {
            struct slice in = {rest.ptr + 1, (size_t)(end - rest.ptr) - 1};
            expand_braced(&out, in, vars);
            text = slice_from(rest, in.len + 2);
        } else {
            const char *value = text_variable(vars, (struct slice){rest.ptr, name});
            buf_adds(&out, value ? value : "");
            text = slice_from(rest, name);
        }
    }
    struct slice kept = {arena_strdup(a, buf_slice(&out)), out.len};
    buf_deinit(&out);
    return kept;
}

unsigned text_number(struct slice text)
{
    uint64_t n;
    return slice_to_u64(text, UINT16_MAX, &n) ? (unsigned)n : 0;
}

/* ------------------------------------------------------------------------- paths */

char *path_join(struct arena *a, const char *dir, const char *path)
{
    struct buf out = {0};
    const char *whole = *path == '/' ? path : text_format(a, "%s/%s", dir, path);
    while (*whole) {
        struct slice part = {whole, strcspn(whole, "/")};
        whole += part.len + (whole[part.len] == '/');
        if (slice_is(part, "..")) {
            const char *slash = out.len ? memrchr(out.ptr, '/', out.len) : NULL;
            out.len = slash ? (size_t)(slash - out.ptr) : 0;
        } else if (part.len && !slice_is(part, ".")) {
            buf_addc(&out, '/');
            buf_add(&out, part);
        }
    }
    if (out.len == 0)
        buf_addc(&out, '/');
    char *kept = arena_strdup(a, buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

const char *path_below(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    if (len == 1)
        return path + 1; /* of the root, all is below */
    if (strncmp(folder, path, len) != 0 || (path[len] && path[len] != '/'))
        return NULL;
    return path[len] ? path + len + 1 : path + len;
}

char *path_from(struct arena *a, const char *dir, const char *path)
{
    struct buf out = {0};
    char *at = arena_strdup(a, slice_of(dir));
    const char *rest;
    while (!(rest = path_below(at, path))) {
        char *slash = strrchr(at, '/');
        slash[slash == at] = '\0';
        buf_adds(&out, "../");
    }
    buf_adds(&out, rest);
    while (out.len > 1 && out.ptr[out.len - 1] == '/')
        out.len--;
    char *kept = arena_strdup(a, out.len ? buf_slice(&out) : SLICE("."));
    buf_deinit(&out);
    return kept;
}

bool path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
