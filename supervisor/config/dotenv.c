#include "config/dotenv.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/file.h"
#include "config/interpolate.h"
#include "config/value.h"

enum { MAX_NAME = 256 };

/* A file on its way; `out` already answers for the lines that were read. */
struct parser {
    struct slice rest;
    struct toml_place at; /* of the rest's beginning */
    const char *file;
    bool own_first;
    struct buf items; /* of struct variable */
    struct buf raw;   /* a value as text for interpolate_text() */
    struct dotenv *out;
    struct interpolation in;
    struct arena *arena;
    struct err *err;
};

const struct variable *dotenv_find(const struct dotenv *env, struct slice name)
{
    for (size_t i = env->count; i > 0; i--)
        if (slice_eq(env->items[i - 1].name, name))
            return &env->items[i - 1];
    return NULL;
}

/* Files include each other to a small depth, so recursion is fine. */
const struct variable *dotenv_look_up_file(const struct dotenv *env, struct slice name,
                                           const struct dotenv **from)
{
    const struct variable *found = NULL;
    if (env->outer)
        found = dotenv_look_up_file(env->outer, name, from);
    if (!found) {
        found = dotenv_find(env, name);
        *from = env;
    }
    return found;
}

static const char *environment(struct slice name)
{
    char text[MAX_NAME];
    if (name.len >= sizeof(text))
        return NULL;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return getenv(text);
}

const char *dotenv_look_up(const void *arg, struct slice name)
{
    const struct dotenv *env = arg, *from;
    const char *value = environment(name);
    if (value)
        return value;
    const struct variable *found = dotenv_look_up_file(env, name, &from);
    return found ? found->value : NULL;
}

static const char *look_up(const void *arg, struct slice name)
{
    const struct parser *p = arg;
    const struct variable *own = p->own_first ? dotenv_find(p->out, name) : NULL;
    return own ? own->value : dotenv_look_up(p->out, name);
}

static int fail(const struct parser *p, struct toml_place at, const char *sentence)
{
    return err_set(p->err, -EINVAL, "%s:%u:%u: %s", p->file, at.line, at.column, sentence);
}

static bool at_char(const struct parser *p, char c)
{
    return p->rest.len && p->rest.ptr[0] == c;
}

/* A character is a column, not its bytes. */
static void skip(struct parser *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = p->rest.ptr[i];
        p->at.column += (c & 0xc0) != 0x80;
        if (c == '\n')
            p->at = (struct toml_place){p->at.line + 1, 1};
    }
    p->rest = slice_from(p->rest, n);
}

static void skip_blanks(struct parser *p)
{
    while (p->rest.len && (at_char(p, ' ') || at_char(p, '\t') || at_char(p, '\r')))
        skip(p, 1);
}

static size_t line_length(struct slice text)
{
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    return end ? (size_t)(end - text.ptr) : text.len;
}

static bool at_line_end(const struct parser *p)
{
    return p->rest.len == 0 || at_char(p, '\n');
}

/* Names may have more than those of the shell: frameworks use dots and dashes. */
static size_t name_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len && (isalpha((unsigned char)text.ptr[len]) || text.ptr[len] == '_' ||
                              (len && (isdigit((unsigned char)text.ptr[len]) ||
                                       text.ptr[len] == '.' || text.ptr[len] == '-'))))
        len++;
    return len;
}

/* A dollar sign that means itself. */
static void add_raw(struct parser *p, char c)
{
    if (c == '$')
        buf_addc(&p->raw, '$');
    buf_addc(&p->raw, c);
}

/* Ends at the line's end or at a "#" with a blank before it. */
static void read_plain(struct parser *p, bool after_blank)
{
    struct slice line = {p->rest.ptr, line_length(p->rest)};
    size_t len = 0;
    while (len < line.len && !(line.ptr[len] == '#' &&
                               (len ? isblank((unsigned char)line.ptr[len - 1]) : after_blank)))
        len++;
    line.len = len;
    while (line.len && isspace((unsigned char)line.ptr[line.len - 1]))
        line.len--;
    for (size_t i = 0; i < line.len; i++) {
        bool escaped = line.ptr[i] == '\\' && i + 1 < line.len && line.ptr[i + 1] == '$';
        if (escaped)
            add_raw(p, line.ptr[++i]);
        else
            buf_addc(&p->raw, line.ptr[i]);
    }
    skip(p, line_length(p->rest));
}

/* What follows a backslash between double quotes. */
static void add_escaped(struct parser *p, char c)
{
    static const char letters[] = "nrt\"\\$'", meanings[] = "\n\r\t\"\\$'";
    const char *known = c ? strchr(letters, c) : NULL;
    if (!known)
        buf_addc(&p->raw, '\\');
    add_raw(p, known ? meanings[known - letters] : c);
}

static int read_quoted(struct parser *p)
{
    struct toml_place begin = p->at;
    char quote = p->rest.ptr[0];
    skip(p, 1);
    while (p->rest.len && !at_char(p, quote)) {
        char c = p->rest.ptr[0];
        bool escape = c == '\\' && p->rest.len > 1 && (quote == '"' || p->rest.ptr[1] == '\'');
        if (escape)
            add_escaped(p, p->rest.ptr[1]);
        else if (c == '\r' && p->rest.len > 1 && p->rest.ptr[1] == '\n')
            ; /* the line ends with the \n */
        else if (quote == '\'')
            add_raw(p, c);
        else
            buf_addc(&p->raw, c);
        skip(p, escape ? 2 : 1);
    }
    if (p->rest.len == 0)
        return fail(p, begin, quote == '"' ? "lacks a closing \"" : "lacks a closing '");
    skip(p, 1);
    skip_blanks(p);
    if (!at_line_end(p) && !at_char(p, '#'))
        return fail(p, p->at,
                    "text after the closing quote: quote the whole value, or begin "
                    "a comment with \"#\"");
    skip(p, line_length(p->rest));
    return 0;
}

static int put(struct parser *p, struct slice name, struct slice value, struct toml_place at)
{
    if (name.len + value.len + 2 > DOTENV_MAX_ENTRY)
        return fail(p, at, "longer than 128 KiB, which no program's environment can hold");
    if (p->out->count == DOTENV_MAX_VARIABLES)
        return fail(p, at, "more than 1024 variables");
    char *entry = arena_alloc(p->arena, name.len + value.len + 2);
    memcpy(entry, name.ptr, name.len);
    entry[name.len] = '=';
    if (value.len)
        memcpy(entry + name.len + 1, value.ptr, value.len);
    entry[name.len + 1 + value.len] = '\0';
    struct variable variable = {entry, {entry, name.len}, entry + name.len + 1, at.line};
    buf_append(&p->items, &variable, sizeof(variable));
    p->out->items = (struct variable *)p->items.ptr;
    p->out->count++;
    return 0;
}

static int read_value(struct parser *p, struct slice name, struct toml_place at)
{
    struct slice value;
    bool after_blank = p->rest.len && isblank((unsigned char)p->rest.ptr[0]);
    skip_blanks(p);
    struct toml_place value_at = p->at;
    int code = 0;
    buf_clear(&p->raw);
    if (at_char(p, '"') || at_char(p, '\''))
        code = read_quoted(p);
    else
        read_plain(p, after_blank);
    if (code == 0)
        code = interpolate_text(&p->in, buf_slice(&p->raw), value_at, &value);
    return code ? code : put(p, name, value, at);
}

static int fail_name(struct parser *p)
{
    struct slice line = {p->rest.ptr, line_length(p->rest)};
    char sentence[256];
    snprintf(sentence, sizeof(sentence),
             "%s is no NAME=value: a name has letters, digits, \"_\", \".\" and \"-\", and no "
             "digit first",
             value_quote(p->arena, slice_trim(line)));
    return fail(p, p->at, sentence);
}

static void skip_export(struct parser *p)
{
    static const char word[] = "export";
    size_t len = sizeof(word) - 1;
    if (slice_starts(p->rest, slice_of(word)) && p->rest.len > len &&
        isblank((unsigned char)p->rest.ptr[len])) {
        skip(p, len);
        skip_blanks(p);
    }
}

/* One line, or several when its value is quoted; the line's end is left. */
static int read_line(struct parser *p)
{
    skip_blanks(p);
    if (at_line_end(p) || at_char(p, '#')) {
        skip(p, line_length(p->rest));
        return 0;
    }
    skip_export(p);
    struct toml_place at = p->at;
    struct slice name = {p->rest.ptr, name_length(p->rest)}, before = p->rest;
    skip(p, name.len);
    skip_blanks(p);
    if (name.len && (at_char(p, '=') || at_char(p, ':'))) {
        skip(p, 1);
        return read_value(p, name, at);
    }
    if (name.len && (at_line_end(p) || at_char(p, '#'))) {
        const char *inherited = dotenv_look_up(p->out, name);
        skip(p, line_length(p->rest));
        return inherited ? put(p, name, slice_of(inherited), at) : 0;
    }
    p->rest = before;
    p->at = at;
    return fail_name(p);
}

static int read_lines(struct parser *p)
{
    if (slice_starts(p->rest, SLICE("\xef\xbb\xbf")))
        p->rest = slice_from(p->rest, 3);
    while (p->rest.len) {
        int code = read_line(p);
        if (code)
            return code;
        if (p->rest.len)
            skip(p, 1); /* the line's end */
    }
    return 0;
}

int dotenv_parse(struct arena *a, struct slice text, const char *file, bool own_first,
                 struct journal *journal, struct dotenv *out, struct err *err)
{
    const char *nul = text.len ? memchr(text.ptr, '\0', text.len) : NULL;
    struct parser p = {.rest = text,
                       .at = {1, 1},
                       .file = file,
                       .own_first = own_first,
                       .out = out,
                       .arena = a,
                       .err = err};
    p.in = (struct interpolation){.arena = a,
                                  .look_up = look_up,
                                  .arg = &p,
                                  .file = file,
                                  .journal = journal,
                                  .lenient = true,
                                  .err = err};
    *out = (struct dotenv){.file = file, .outer = out->outer};
    int code = nul ? err_set(err, -EINVAL, "%s: holds a NUL byte: not a text file", file)
                   : read_lines(&p);
    struct variable *items = arena_alloc(a, p.items.len);
    if (p.items.len)
        memcpy(items, p.items.ptr, p.items.len);
    out->items = items;
    buf_deinit(&p.items);
    buf_deinit(&p.raw);
    return code;
}

int dotenv_read(struct arena *a, const char *path, const char *shown, bool own_first,
                struct journal *journal, struct dotenv *out, struct err *err)
{
    struct buf text = {0};
    journal_file(journal, path);
    int code = file_read(path, DOTENV_MAX_FILE, true, &text);
    if (code)
        err_set(err, code, "%s: %s", shown,
                code == -EINVAL ? "not a regular file" : strerror(-code));
    else if (text.len > DOTENV_MAX_FILE)
        code = err_set(err, -EFBIG, "%s: larger than %d MiB", shown, DOTENV_MAX_FILE >> 20);
    else
        code = dotenv_parse(a, buf_slice(&text), shown, own_first, journal, out, err);
    buf_deinit(&text);
    return code;
}
