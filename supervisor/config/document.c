#include "config/document.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/file.h"
#include "config/interpolate.h"
#include "config/value.h"

/* A file that is to become a document. */
struct candidate {
    const char *path;  /* absolute */
    const char *shown; /* as people know it */
    const struct document *parent;
    struct toml_place at; /* of the string that names it */
    bool literal;         /* no pattern found it: it was meant */
};

struct reading {
    struct documents *all;
    struct arena *arena;
    struct journal *journal;
    struct err *err;
    size_t interpolated; /* bytes, of all documents together */
};

const char *document_place(const struct document *doc, struct toml_place at)
{
    char *text = xasprintf("%s:%u:%u", doc->reader.file, at.line, at.column);
    const char *kept = arena_strdup(doc->reader.arena, slice_of(text));
    xfree(text);
    return kept;
}

static const char *join(struct arena *a, struct slice folder, struct slice name)
{
    char *text = folder.len
                     ? xasprintf(SLICE_FMT "/" SLICE_FMT, SLICE_ARG(folder), SLICE_ARG(name))
                     : xasprintf(SLICE_FMT, SLICE_ARG(name));
    const char *kept = arena_strdup(a, slice_of(text));
    xfree(text);
    return kept;
}

/* The folder's part of a file's shown name, without its slash: "" for "nodey.toml". */
static struct slice shown_folder(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    return (struct slice){file, slash ? (size_t)(slash - file) : 0};
}

/* What the folder's .env says, or what the includer's does when it lies in the same one. */
static int read_env(struct reading *r, struct document *doc)
{
    const char *dir = doc->reader.dir;
    if (doc->parent && strcmp(doc->parent->reader.dir, dir) == 0) {
        doc->env = doc->parent->env;
        return 0;
    }
    struct dotenv *env = arena_alloc(r->arena, sizeof(*env));
    *env = (struct dotenv){.outer = doc->parent ? doc->parent->env : NULL};
    doc->env = env;
    const char *shown = join(r->arena, shown_folder(doc->reader.file), SLICE(".env"));
    struct err err;
    int code = dotenv_read(r->arena, join(r->arena, slice_of(dir), SLICE(".env")), shown, false,
                           r->journal, env, &err);
    /* A folder of that name is somebody's virtual environment. */
    if (code == 0 || code == -ENOENT || code == -EISDIR)
        return 0;
    return err_set(r->err, code, "%s", err.text);
}

static int read_tree(struct reading *r, struct document *doc, struct slice text)
{
    struct toml_node *root = toml_parse(r->arena, text, doc->reader.file, r->err);
    if (!root)
        return r->err->code;
    struct interpolation in = {.arena = r->arena,
                               .look_up = dotenv_look_up,
                               .arg = doc->env,
                               .file = doc->reader.file,
                               .journal = r->journal,
                               .made = r->interpolated,
                               .err = r->err};
    int code = interpolate_tree(&in, root);
    r->interpolated = in.made;
    doc->root = root;
    return code;
}

static int fail_include(const struct reading *r, const struct candidate *c, const char *why)
{
    return reader_fail(&c->parent->reader, c->at, "include %s: %s",
                       value_quote(r->arena, slice_of(c->shown)), why);
}

/* One more document, not read yet.  NULL, with a sentence, on failure. */
static struct document *new_document(struct reading *r, const struct candidate *c)
{
    struct stat st;
    struct documents *all = r->all;
    if (all->count == DOCUMENT_MAX_COUNT) {
        fail_include(r, c, "more than 256 files");
        return NULL;
    }
    struct document *doc = arena_alloc(r->arena, sizeof(*doc));
    *doc = (struct document){
        .reader = {.arena = r->arena, .file = c->shown, .err = r->err},
        .parent = c->parent,
        .included_at = c->at,
        .depth = c->parent ? c->parent->depth + 1 : 0,
    };
    if (c->path && stat(c->path, &st) == 0) {
        doc->device = st.st_dev;
        doc->inode = st.st_ino;
    }
    doc->reader.dir = file_folder(r->arena, c->path);
    if (!doc->reader.dir) {
        err_set(r->err, -errno, "%s: %s", c->shown ? c->shown : ".", strerror(errno));
        return NULL;
    }
    all->items[all->count++] = doc;
    return doc;
}

static int read_includes(struct reading *r, const struct document *doc);

static int read_document(struct reading *r, const struct candidate *c)
{
    struct buf text = {0};
    struct document *doc = new_document(r, c);
    if (!doc)
        return r->err->code;
    int code = read_env(r, doc);
    if (code == 0 && c->path) {
        code = file_read(c->path, TOML_MAX_FILE, c->parent, &text);
        if (code)
            err_set(r->err, code, "%s: %s", c->shown, strerror(-code));
        else
            code = read_tree(r, doc, buf_slice(&text));
    }
    buf_deinit(&text);
    return code || !doc->root ? code : read_includes(r, doc);
}

/* The document that is this file already, or NULL. */
static const struct document *find_same(const struct reading *r, const struct stat *st)
{
    for (size_t i = 0; i < r->all->count; i++) {
        const struct document *doc = r->all->items[i];
        if (doc->root && doc->device == st->st_dev && doc->inode == st->st_ino)
            return doc;
    }
    return NULL;
}

static bool is_ancestor(const struct document *doc, const struct document *of)
{
    while (of && of != doc)
        of = of->parent;
    return of;
}

/* A pattern may well find its own file, one that was included by its name, or a folder. */
static int include(struct reading *r, const struct candidate *c)
{
    struct stat st;
    journal_file(r->journal, c->path);
    if (stat(c->path, &st) < 0)
        return fail_include(r, c, strerror(errno));
    const struct document *same = find_same(r, &st);
    if (!c->literal && (same || !S_ISREG(st.st_mode)))
        return 0;
    if (same && is_ancestor(same, c->parent))
        return fail_include(r, c, "a file cannot include itself, nor one that includes it");
    if (same) {
        char why[400];
        snprintf(why, sizeof(why), "is included already, by %.300s",
                 document_place(same->parent, same->included_at));
        return fail_include(r, c, why);
    }
    if (c->parent->depth == DOCUMENT_MAX_DEPTH)
        return fail_include(r, c, "files include each other more than 8 deep");
    return read_document(r, c);
}

static bool is_pattern(const char *text)
{
    return strpbrk(text, "*?[");
}

/* The folder's own name may hold what means something in a pattern. */
static char *pattern_below(const char *dir, const char *pattern)
{
    struct buf b = {0};
    for (const char *at = dir; pattern[0] != '/' && *at; at++) {
        if (strchr("*?[\\", *at))
            buf_addc(&b, '\\');
        buf_addc(&b, *at);
    }
    if (pattern[0] != '/')
        buf_addc(&b, '/');
    buf_adds(&b, pattern);
    return buf_give(&b);
}

static int include_found(struct reading *r, const struct document *doc, struct toml_place at,
                         const char *path)
{
    size_t len = strlen(doc->reader.dir);
    const char *shown = path;
    if (strncmp(path, doc->reader.dir, len) == 0 && path[len] == '/')
        shown = join(r->arena, shown_folder(doc->reader.file), slice_of(path + len + 1));
    struct candidate c = {arena_strdup(r->arena, slice_of(path)), shown, doc, at, false};
    return include(r, &c);
}

/* The matches in the order of their names. */
static int include_pattern(struct reading *r, const struct document *doc,
                           const struct toml_node *item)
{
    glob_t found;
    char *pattern = pattern_below(doc->reader.dir, item->string.ptr);
    int rc = glob(pattern, 0, NULL, &found), code = 0;
    xfree(pattern);
    if (rc == GLOB_NOMATCH)
        journal_note(r->journal, "%s: include %s finds no file", document_place(doc, item->at),
                     value_quote(r->arena, item->string));
    for (size_t i = 0; rc == 0 && i < found.gl_pathc && code == 0; i++)
        code = include_found(r, doc, item->at, found.gl_pathv[i]);
    if (rc == 0)
        globfree(&found);
    else if (rc != GLOB_NOMATCH)
        code = reader_fail(&doc->reader, item->at, "include %s: the folders cannot be searched",
                           value_quote(r->arena, item->string));
    return code;
}

static int include_item(struct reading *r, const struct document *doc,
                        const struct toml_node *item)
{
    if (item->type != TOML_STRING || item->string.len == 0)
        return reader_fail(&doc->reader, item->at,
                           "include must hold nothing but names of files, such as "
                           "\"more.toml\" or \"*/nodey.toml\"");
    for (size_t i = 0; i < item->string.len; i++)
        if (value_is_control(item->string.ptr[i]))
            return reader_fail(&doc->reader, item->at,
                               "include must not contain control characters");
    if (is_pattern(item->string.ptr))
        return include_pattern(r, doc, item);
    bool absolute = item->string.ptr[0] == '/';
    struct candidate c = {reader_path(&doc->reader, item->string),
                          absolute
                              ? item->string.ptr
                              : join(r->arena, shown_folder(doc->reader.file), item->string),
                          doc, item->at, true};
    return include(r, &c);
}

static int read_includes(struct reading *r, const struct document *doc)
{
    const struct toml_node *node = toml_get(doc->root, "include");
    if (!node)
        return 0;
    if (node->type == TOML_STRING)
        return include_item(r, doc, node);
    if (node->type != TOML_ARRAY)
        return reader_fail(&doc->reader, node->at,
                           "include must be a list of files, such as [\"*/nodey.toml\"]");
    int code = 0;
    const struct toml_node *item = node->items.first;
    for (; item && code == 0; item = item->next)
        code = include_item(r, doc, item);
    return code;
}

int documents_read(struct documents *all, struct arena *a, const char *file,
                   struct journal *journal, struct err *err)
{
    struct reading r = {.all = all, .arena = a, .journal = journal, .err = err};
    struct candidate first = {.path = file, .shown = file, .literal = true};
    *all = (struct documents){.count = 0};
    return read_document(&r, &first);
}
