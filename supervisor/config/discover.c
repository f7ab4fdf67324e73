#include "config/discover.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/imports.h"
#include "config/program.h"
#include "config/pyapp.h"
#include "config/script.h"
#include "config/value.h"

enum { NAME_MAX_LEN = 64 };

struct search {
    struct arena *arena;
    const char *dir;  /* absolute; holds workers/ */
    struct buf found; /* of struct discovered */
    struct buf notes; /* of const char *: what was left out */
    struct buf paths; /* the same: of the files that the notes are about, or NULL */
    struct buf taken; /* the same: what was not */
    size_t note_count;
    struct node_version node;
    struct err *err;
};

bool worker_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '_';
        /* Not first: names become file names and arguments. */
        if (!word && !(i > 0 && (c == '.' || c == '-')))
            return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}

static const char *keep(struct search *s, char *text)
{
    const char *kept = arena_strdup(s->arena, slice_of(text));
    xfree(text);
    return kept;
}

static void add_note(struct search *s, const char *text, const char *path)
{
    buf_append(&s->notes, &text, sizeof(text));
    buf_append(&s->paths, &path, sizeof(path));
}

static void note(struct search *s, const char *shown, const char *why)
{
    if (s->note_count++ >= DISCOVER_MAX_NOTES)
        return;
    const char *name = value_quote(s->arena, slice_of(shown));
    add_note(s, keep(s, xasprintf("%s: left out, %s", name, why)),
             keep(s, xasprintf("%s/%s", s->dir, shown)));
}

/* It may as well be a module of others: what would make it a worker is said, not done. */
static void note_silent(struct search *s, const char *path, const char *shown,
                        struct slice name)
{
    if (s->note_count++ >= DISCOVER_MAX_NOTES)
        return;
    const char *quoted = value_quote(s->arena, slice_of(shown));
    const char *wanted = value_quote(s->arena, name), *dot = strrchr(path, '.');
    bool python = script_kind(path) == SCRIPT_PYTHON;
    bool module = strcmp(dot, ".mjs") == 0 || strcmp(dot, ".mts") == 0;
    const char *import = python   ? "import nodey"
                         : module ? "import nodey from 'nodey'"
                                  : "const nodey = require('nodey')";
    const char *text =
        keep(s, xasprintf("%.*s is not served: %s (if it is to be a worker, "
                          "add \"%s\" and %snodey.get(\"/%.*s\"%s)",
                          (int)strlen(quoted) - 2, quoted + 1, program_not_importing, import,
                          python ? "@" : "", (int)strlen(wanted) - 2, wanted + 1,
                          python ? ")" : ", ...)"));
    add_note(s, text, path);
}

static size_t count_found(const struct search *s)
{
    return s->found.len / sizeof(struct discovered);
}

/* `one` says what it is; `shown` what a person put there, `name` what it will be called. */
static int keep_found(struct search *s, struct discovered one, const char *shown,
                      struct slice name)
{
    if (!worker_name_valid(name)) {
        note(s, shown, "a worker's name has 1 to 64 letters, digits, \"_\", \".\" and \"-\"");
        return 0;
    }
    one.name = arena_strdup(s->arena, name);
    one.shown = value_quote(s->arena, slice_of(shown));
    if (count_found(s) == DISCOVER_MAX_SCRIPTS)
        return err_set(s->err, -E2BIG,
                       "workers/ holds more than %d scripts: configure the workers by "
                       "[workers.NAME] in nodey.toml",
                       DISCOVER_MAX_SCRIPTS);
    buf_append(&s->found, &one, sizeof(one));
    return 0;
}

/* A script, or the main file of a folder. */
static int add(struct search *s, const char *path, const char *shown, struct slice name,
               const char *folder, const char *root)
{
    struct err err;
    struct discovered one = {.path = path, .folder = folder, .root = root};
    struct script script = {path, NULL, s->dir, NULL, &s->node};
    if (script_argv(s->arena, &script, &one.command, &err) == 0)
        return keep_found(s, one, shown, name);
    note(s, shown, err.text);
    return 0;
}

static int add_django(struct search *s, const char *app, const char *shown, struct slice name,
                      const char *root)
{
    struct discovered one = {.app = app, .root = root, .path = pyapp_file(s->arena, root, app)};
    return keep_found(s, one, shown, name);
}

static int add_file(struct search *s, const char *shown, const char *folder)
{
    const char *path = keep(s, xasprintf("%s/%s", s->dir, shown));
    const char *base = strrchr(path, '/') + 1;
    const char *dot = strrchr(base, '.');
    struct slice stem = {base, dot ? (size_t)(dot - base) : strlen(base)};
    const char *reason = program_refuse_file(path);
    if (!reason)
        return add(s, path, shown, stem, folder, NULL);
    if (reason == program_not_importing)
        note_silent(s, path, shown, stem);
    else
        note(s, shown, reason);
    return 0;
}

static int by_entry(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int search_folder(struct search *s, const char *shown, const char *folder);

static const char has_own_config[] =
    "it is a project with a nodey.toml of its own: run it there, or include that file";

static bool has_config(struct search *s, const char *folder)
{
    return access(keep(s, xasprintf("%s/nodey.toml", folder)), F_OK) == 0;
}

/* One worker, if it has what starts one; else its scripts are workers. */
static int add_folder(struct search *s, const char *shown, const char *name)
{
    const char *path = keep(s, xasprintf("%s/%s", s->dir, shown)), *why, *app;
    const char *main = program_main(s->arena, path, &why);
    if (strcmp(name, "dist") == 0 || strcmp(name, "build") == 0)
        note(s, shown, "such a folder holds what a build has made");
    else if (has_config(s, path))
        note(s, shown, has_own_config);
    else if (main && program_folder_speaks(path, main))
        return add(s, main, shown, slice_of(name), NULL, path);
    else if ((app = pyapp_django(s->arena, path)))
        return add_django(s, app, shown, slice_of(name), path);
    else if (main || why)
        note(s, shown,
             why ? why : "nothing in it imports nodey or is a web app (a module of others?)");
    else
        return search_folder(s, shown, arena_strdup(s->arena, slice_of(name)));
    return 0;
}

static int add_entry(struct search *s, const char *parent, const char *name, const char *folder)
{
    struct stat st;
    int code = 0;
    char *shown = xasprintf("%s/%s", parent, name);
    char *path = xasprintf("%s/%s", s->dir, shown);
    int failed = stat(path, &st) < 0 ? errno : 0;
    if (program_is_ignored(name, !failed && S_ISDIR(st.st_mode)))
        ;
    else if (failed)
        note(s, shown, strerror(failed));
    else if (S_ISREG(st.st_mode))
        code = add_file(s, shown, folder);
    else if (!S_ISDIR(st.st_mode))
        note(s, shown, "not a regular file");
    else if (folder)
        note(s, shown, "folders are searched one level deep");
    else
        code = add_folder(s, shown, name);
    xfree(path);
    xfree(shown);
    return code;
}

/* Recurses at most once: add_entry() descends only from workers/ itself. */
static int search_folder(struct search *s, const char *shown, const char *folder)
{
    struct dirent **entries;
    char *path = xasprintf("%s/%s", s->dir, shown);
    int count = scandir(path, &entries, NULL, by_entry);
    int error = errno;
    xfree(path);
    if (count < 0 && folder) {
        note(s, shown, strerror(error));
        return 0;
    }
    if (count < 0)
        return err_set(s->err, -error, "%s/%s: %s", s->dir, shown, strerror(error));
    int code = 0;
    for (int i = 0; i < count; i++) {
        if (code == 0)
            code = add_entry(s, shown, entries[i]->d_name, folder);
        xfree(entries[i]);
    }
    xfree(entries);
    return code;
}

static int by_name(const void *a, const void *b)
{
    const struct discovered *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->shown, right->shown);
}

/*
 * A script in a folder whose plain name somebody else has too takes its folder's
 * name in front.  The list is sorted, so whoever shares a name is a neighbour.
 */
static void prefix_folders(struct search *s, struct discovered *all, size_t count)
{
    for (size_t i = 0, end; i < count; i = end) {
        end = i + 1;
        while (end < count && strcmp(all[i].name, all[end].name) == 0)
            end++;
        for (size_t j = i; end - i > 1 && j < end; j++)
            if (all[j].folder)
                all[j].name = keep(s, xasprintf("%s-%s", all[j].folder, all[j].name));
    }
}

static int check_names(struct search *s, const struct discovered *all, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(all[i - 1].name, all[i].name) == 0)
            return err_set(s->err, -EEXIST,
                           "%s and %s would both be the worker \"%s\": rename one",
                           all[i - 1].shown, all[i].shown, all[i].name);
    for (size_t i = 0; i < count; i++)
        if (!worker_name_valid(slice_of(all[i].name)))
            return err_set(
                s->err, -EINVAL,
                "%s would be the worker %s, which is no name for one: rename its folder",
                all[i].shown, value_quote(s->arena, slice_of(all[i].name)));
    return 0;
}

/* "python3 .venv", "node", "sh": for people. */
static void add_runner(struct buf *b, const struct discovered *one)
{
    if (one->app) {
        buf_adds(b, "Django");
        return;
    }
    const char *program = one->command.items[0], *slash = strrchr(program, '/');
    const char *venv = strstr(program, "/.venv/") ? " .venv" : " venv";
    if (program == one->path)
        buf_adds(b, "executable");
    else if (strstr(program, "venv/bin/"))
        buf_addf(b, "python3%s", venv);
    else
        buf_adds(b, slash ? slash + 1 : program);
}

/* "fib.py (python3), shop/ (node)": the first of the notes. */
static void note_taken(struct search *s, const struct discovered *all, size_t count)
{
    struct buf text = {0};
    size_t skip = strlen("\"workers/");
    buf_adds(&text, "workers/: ");
    for (size_t i = 0; i < count && count <= DISCOVER_MAX_NAMED; i++) {
        buf_adds(&text, i ? ", " : "");
        buf_append(&text, all[i].shown + skip, strlen(all[i].shown) - skip - 1);
        buf_adds(&text, all[i].root ? "/ (" : " (");
        add_runner(&text, &all[i]);
        buf_adds(&text, ")");
    }
    if (count > DISCOVER_MAX_NAMED)
        buf_addf(&text, "%zu programs", count);
    buf_adds(&text, count == 1 ? " is served" : " are served");
    const char *kept = arena_strdup(s->arena, buf_slice(&text));
    buf_append(&s->taken, &kept, sizeof(kept));
    buf_deinit(&text);
}

/* ---------------------------------------------------------------------- modules */

enum { NOBODY = DISCOVER_MAX_SCRIPTS };

/* Whose module it is in the end: itself, if nobody's. */
static size_t owner_of(const size_t *by, size_t i)
{
    while (by[i] != NOBODY)
        i = by[i];
    return i;
}

/*
 * What another program loads is a part of that, whatever it looks like by itself.  Of
 * programs that load each other one stays.
 */
static void drop_modules(struct search *s)
{
    struct discovered *all = (struct discovered *)s->found.ptr;
    size_t count = count_found(s), kept = 0, by[DISCOVER_MAX_SCRIPTS];
    for (size_t i = 0; i < count; i++)
        by[i] = NOBODY;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count && !all[i].app; j++)
            if (i != j && by[j] == NOBODY && owner_of(by, i) != j && !all[j].app &&
                imports_file(all[i].path, all[j].path))
                by[j] = i;
    for (size_t i = 0; i < count; i++)
        if (by[i] == NOBODY)
            all[kept++] = all[i];
    s->found.len = kept * sizeof(*all);
}

bool discover_is_module(const struct discovery *d, const char *path)
{
    for (size_t i = 0; i < d->count; i++)
        if (!d->scripts[i].app && imports_file(d->scripts[i].path, path))
            return true;
    return false;
}

static struct string_list all_notes(struct search *s)
{
    const char *end = NULL;
    if (s->note_count > DISCOVER_MAX_NOTES) {
        add_note(s,
                 keep(s, xasprintf("workers/: %zu more left out",
                                   s->note_count - DISCOVER_MAX_NOTES)),
                 NULL);
    }
    buf_add(&s->taken, buf_slice(&s->notes));
    buf_append(&s->taken, &end, sizeof(end));
    struct string_list list = {arena_alloc(s->arena, s->taken.len),
                               s->taken.len / sizeof(char *) - 1};
    memcpy(list.items, s->taken.ptr, s->taken.len);
    return list;
}

static int finish(struct search *s, struct discovery *out)
{
    drop_modules(s);
    struct discovered *all = arena_alloc(s->arena, s->found.len);
    size_t count = count_found(s);
    if (count)
        memcpy(all, s->found.ptr, s->found.len);
    qsort(all, count, sizeof(*all), by_name);
    prefix_folders(s, all, count);
    qsort(all, count, sizeof(*all), by_name);
    if (check_names(s, all, count) < 0)
        return s->err->code;
    if (count)
        note_taken(s, all, count);
    *out = (struct discovery){.scripts = all, .count = count, .notes = all_notes(s)};
    out->paths = arena_alloc(s->arena, (out->notes.count + 1) * sizeof(char *));
    memset(out->paths, 0, (out->notes.count + 1) * sizeof(char *));
    size_t about = s->paths.len / sizeof(char *);
    if (about)
        memcpy(out->paths + out->notes.count - about, s->paths.ptr, s->paths.len);
    return 0;
}

int discover(struct arena *a, const char *dir, struct discovery *out, struct err *err)
{
    struct search s = {.arena = a, .dir = dir, .err = err};
    int code = search_folder(&s, "workers", NULL);
    if (code == -ENOENT) {
        *out =
            (struct discovery){.notes = {arena_alloc(a, sizeof(char *)), 0}, .missing = true};
        out->notes.items[0] = NULL;
        code = 0;
    } else if (code == 0) {
        code = finish(&s, out);
    }
    buf_deinit(&s.found);
    buf_deinit(&s.notes);
    buf_deinit(&s.paths);
    buf_deinit(&s.taken);
    return code;
}
