#include "import/webfiles.h"

#include <ctype.h>

#include "base/utf8.h"
#include "config/file.h"

enum { CONF_MAX = 256 * 1024, DIRECTIVES_MAX = 60 };

/* Where that, copied into the image, lies here. */
static const char *copied_from(struct stack *s, const struct service *v,
                               const struct docker_copy *copy)
{
    struct arena *a = &s->draft->arena;
    const struct docker_stage *stage =
        copy->from ? dockerfile_stage(v->file, copy->from) : NULL;
    const char *inner = stage ? path_join(a, stage->workdir, copy->source) : NULL;
    const char *rest = inner ? path_below(stage->workdir, inner) : copy->source;
    if (copy->from && !rest)
        return NULL;
    return path_join(a, v->context, *rest == '/' ? rest + 1 : rest);
}

void webfiles_find(struct stack *s, struct service *v)
{
    static const char *const roots[] = {"/usr/share/nginx/html", "/usr/local/apache2/htdocs",
                                        "/var/www/html",         "/srv",
                                        "/usr/share/caddy",      "/public"};
    for (size_t i = 0; i < ARRAY_LEN(roots) && !v->root; i++) {
        const char *mounted = stack_mounted(s, v, roots[i]);
        for (size_t j = 0; !mounted && v->run && j < v->run->copy_count; j++)
            if (strcmp(v->run->copies[j].target, roots[i]) == 0)
                mounted = copied_from(s, v, &v->run->copies[j]);
        v->root = mounted;
        v->root_inner = mounted ? roots[i] : NULL;
    }
}

/* A page that some step of the build made finds its ways itself, more often than not. */
static bool is_built(const struct service *v)
{
    for (size_t i = 0; v->file && i < v->file->count; i++)
        for (size_t j = 0; j < v->file->stages[i].runs.count; j++)
            if (strstr(v->file->stages[i].runs.items[j], "build"))
                return true;
    return false;
}

/*
 * The configuration that it was given: how it is called there; NULL: none.  `*path` is where
 * it lies here; NULL: nobody knows.
 */
static const char *configuration(struct stack *s, const struct service *v, const char **path)
{
    struct arena *a = &s->draft->arena;
    const struct tree *volumes = tree_get(v->node, "volumes");
    const char *which = v->role == ROLE_FILES ? NULL : "";
    *path = NULL;
    for (size_t i = 0; v->run && i < v->run->copy_count; i++) {
        const struct docker_copy *copy = &v->run->copies[i];
        if (!v->root_inner || !path_below(v->root_inner, copy->target)) {
            which = copy->source;
            *path = copy->from ? NULL : path_join(a, v->context, copy->source);
        }
    }
    for (const struct tree *at = volumes ? volumes->first : NULL; at; at = at->next) {
        const struct tree *from = tree_get(at, "source"), *to = tree_get(at, "target");
        const char *parts[3];
        size_t count = at->type == TREE_TEXT ? stack_split(a, at->text, parts, 3) : 0;
        const char *source = count > 1 ? parts[0] : tree_is_text(from) ? from->text.ptr : NULL;
        const char *target = count > 1 ? parts[1] : tree_is_text(to) ? to->text.ptr : "";
        if (!v->root_inner || !path_below(v->root_inner, target)) {
            which = count > 1 ? parts[0] : target;
            *path = source ? path_join(a, at->source->dir, source) : NULL;
        }
    }
    return which;
}

bool webfiles_is_configured(struct stack *s, const struct service *v)
{
    const char *path, *which = configuration(s, v, &path);
    return which && *which;
}

/* Its lines that decide who answers what. */
static void say_directives(struct draft *d, struct slice text)
{
    static const char *const names[] = {"server_name", "location", "proxy_pass", "root",
                                        "alias",       "rewrite",  "return",     "try_files"};
    unsigned said = 0;
    while (text.len && said < DIRECTIVES_MAX) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct slice whole = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
        struct slice line = slice_trim(whole);
        text = slice_from(text, whole.len + (end != NULL));
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            size_t len = strlen(names[i]);
            if (slice_starts(line, slice_of(names[i])) && line.len > len &&
                isspace((unsigned char)line.ptr[len])) {
                draft_comment(d, "    " SLICE_FMT, SLICE_ARG(line));
                said++;
            }
        }
    }
}

static bool read_configuration(struct stack *s, const struct service *v, struct buf *text)
{
    const char *path;
    return configuration(s, v, &path) && path && !path_is_folder(path) &&
           file_read(path, CONF_MAX, true, text) == 0 && utf8_valid(buf_slice(text));
}

void webfiles_write_lost(struct stack *s, const struct service *v)
{
    const char *path, *which = configuration(s, v, &path);
    struct buf text = {0};
    if (!which)
        return;
    draft_lost(s->draft, v->node,
               "the configuration of %s%s%s%s: write its locations as "
               "[[routes]]",
               v->name, *which ? " (" : "", which, *which ? ")" : "");
    if (read_configuration(s, v, &text))
        say_directives(s->draft, buf_slice(&text));
    buf_deinit(&text);
}

/* ------------------------------------------------------------------------ routes */

/* "try_files $uri /index.html" */
static bool sends_to_index(struct stack *s, const struct service *v)
{
    struct buf text = {0};
    const char *found =
        read_configuration(s, v, &text) ? strstr(buf_cstr(&text), "try_files") : NULL;
    bool sends = found && memmem(found, strcspn(found, ";"), "/index.html", 11);
    buf_deinit(&text);
    return sends;
}

static void write_route(struct stack *s, const char *path, const char *root,
                        const struct string_list *methods)
{
    struct draft *d = s->draft;
    buf_adds(&d->out, "\n[[routes]]\n");
    draft_string(d, "path", slice_of(path));
    draft_string(d, "root", slice_of(path_from(&d->arena, d->dir, root)));
    if (methods && methods->count)
        draft_list(d, "methods", methods);
}

void webfiles_write_routes(struct stack *s, const struct service *v, const char *path,
                           const struct string_list *methods)
{
    struct arena *a = &s->draft->arena;
    write_route(s, path, v->root, methods);
    if (is_built(v) || sends_to_index(s, v)) {
        draft_comment(s->draft, "Paths without a file get index.html; without this line, 404.");
        draft_line(s->draft, "spa = true");
    }
    for (size_t i = 0; v->run && i < v->run->copy_count; i++) {
        const struct docker_copy *copy = &v->run->copies[i];
        const char *below = path_below(v->root_inner, copy->target);
        const char *root = below && *below ? copied_from(s, v, copy) : NULL;
        if (root)
            write_route(s, text_format(a, "%.*s%s/*", (int)strcspn(path, "*"), path, below),
                        root, methods);
    }
}
