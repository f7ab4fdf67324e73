#include "config/discover.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/script.h"
#include "config/value.h"

enum { NAME_MAX_LEN = 64 };

struct search {
    struct arena *arena;
    const char *dir;  /* absolute; holds workers/ */
    struct buf found; /* of struct discovered */
    struct buf notes; /* of const char * */
    size_t note_count;
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

static void note(struct search *s, const char *shown, const char *why)
{
    if (s->note_count++ >= DISCOVER_MAX_NOTES)
        return;
    const char *name = value_quote(s->arena, slice_of(shown));
    const char *text = keep(s, xasprintf("%s: left out, %s", name, why));
    buf_append(&s->notes, &text, sizeof(text));
}

static size_t count_found(const struct search *s)
{
    return s->found.len / sizeof(struct discovered);
}

/* Why a file is nobody's worker, or NULL. */
static const char *reason_against(const char *path, struct slice stem)
{
    const char *extension = stem.ptr + stem.len;
    bool known = script_kind(path) != SCRIPT_OTHER && strcmp(extension, ".ts") != 0;
    if (!known && access(path, X_OK) < 0)
        return "neither .py .js .mjs .cjs nor executable (chmod +x)";
    if (access(path, R_OK) < 0)
        return strerror(errno);
    if (!worker_name_valid(stem))
        return "a worker's name has 1 to 64 letters, digits, \"_\", \".\" and \"-\"";
    return NULL;
}

static int add_file(struct search *s, const char *shown, const char *folder)
{
    const char *path = keep(s, xasprintf("%s/%s", s->dir, shown));
    const char *base = strrchr(path, '/') + 1;
    const char *dot = strrchr(base, '.');
    struct slice stem = {base, dot ? (size_t)(dot - base) : strlen(base)};
    const char *reason = reason_against(path, stem);
    if (reason) {
        note(s, shown, reason);
        return 0;
    }
    if (count_found(s) == DISCOVER_MAX_SCRIPTS)
        return err_set(s->err, -E2BIG,
                       "workers/ holds more than %d scripts: configure the workers by "
                       "[workers.NAME] in nodey.toml",
                       DISCOVER_MAX_SCRIPTS);
    struct discovered one = {arena_strdup(s->arena, stem), path,
                             value_quote(s->arena, slice_of(shown)), folder};
    buf_append(&s->found, &one, sizeof(one));
    return 0;
}

static bool ignored(const char *name)
{
    const char *dot = strstr(name, ".d.ts");
    return name[0] == '.' || name[0] == '_' || strcmp(name, "node_modules") == 0 ||
           strcmp(name, "__pycache__") == 0 || (dot && dot[5] == '\0');
}

static int by_entry(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_ignored(const struct dirent *entry)
{
    return !ignored(entry->d_name);
}

static int search_folder(struct search *s, const char *shown, const char *folder);

static int add_entry(struct search *s, const char *parent, const char *name, const char *folder)
{
    struct stat st;
    int code = 0;
    char *shown = xasprintf("%s/%s", parent, name);
    char *path = xasprintf("%s/%s", s->dir, shown);
    if (stat(path, &st) < 0)
        note(s, shown, strerror(errno));
    else if (S_ISREG(st.st_mode))
        code = add_file(s, shown, folder);
    else if (!S_ISDIR(st.st_mode))
        note(s, shown, "not a regular file");
    else if (folder)
        note(s, shown, "folders are searched one level deep");
    else
        code = search_folder(s, shown, arena_strdup(s->arena, slice_of(name)));
    xfree(path);
    xfree(shown);
    return code;
}

/* Recurses at most once: add_entry() descends only from workers/ itself. */
static int search_folder(struct search *s, const char *shown, const char *folder)
{
    struct dirent **entries;
    char *path = xasprintf("%s/%s", s->dir, shown);
    int count = scandir(path, &entries, not_ignored, by_entry);
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

static int finish(struct search *s, struct discovery *out)
{
    struct discovered *all = arena_alloc(s->arena, s->found.len);
    size_t count = count_found(s);
    if (count)
        memcpy(all, s->found.ptr, s->found.len);
    qsort(all, count, sizeof(*all), by_name);
    prefix_folders(s, all, count);
    qsort(all, count, sizeof(*all), by_name);
    if (check_names(s, all, count) < 0)
        return s->err->code;
    if (s->note_count > DISCOVER_MAX_NOTES) {
        const char *more = keep(
            s, xasprintf("workers/: %zu more left out", s->note_count - DISCOVER_MAX_NOTES));
        buf_append(&s->notes, &more, sizeof(more));
    }
    *out = (struct discovery){all, count, {NULL, s->notes.len / sizeof(char *)}, false};
    const char *end = NULL;
    buf_append(&s->notes, &end, sizeof(end));
    out->notes.items = arena_alloc(s->arena, s->notes.len);
    memcpy(out->notes.items, s->notes.ptr, s->notes.len);
    return 0;
}

int discover(struct arena *a, const char *dir, struct discovery *out, struct err *err)
{
    struct search s = {.arena = a, .dir = dir, .err = err};
    int code = search_folder(&s, "workers", NULL);
    if (code == -ENOENT) {
        *out = (struct discovery){NULL, 0, {arena_alloc(a, sizeof(char *)), 0}, true};
        out->notes.items[0] = NULL;
        code = 0;
    } else if (code == 0) {
        code = finish(&s, out);
    }
    buf_deinit(&s.found);
    buf_deinit(&s.notes);
    return code;
}
