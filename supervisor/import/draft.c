#include "import/draft.h"

#include <stdarg.h>
#include <stdio.h>

void draft_deinit(struct draft *d)
{
    buf_deinit(&d->out);
    buf_deinit(&d->lost);
    buf_deinit(&d->to_do);
    arena_deinit(&d->arena);
}

static const char *format(struct draft *d, const char *fmt, va_list args)
{
    char *text = NULL;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = arena_alloc(&d->arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    return text;
}

static void remark(struct draft *d, struct buf *list, const struct tree *node, const char *text)
{
    const char *place = "";
    const struct remark *all = (const struct remark *)list->ptr;
    for (size_t i = 0; i < list->len / sizeof(*all); i++)
        if (strcmp(all[i].text, text) == 0)
            return; /* once is enough */
    if (node && node->source && node->source->made)
        place = text_format(&d->arena, "%s: ", node->source->shown);
    else if (node && node->source)
        place = text_format(&d->arena, "%s:%u: ", node->source->shown, node->line);
    struct remark one = {place, text};
    if (list->len / sizeof(one) < DRAFT_MAX_REMARKS)
        buf_append(list, &one, sizeof(one));
}

void draft_lost(struct draft *d, const struct tree *node, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = format(d, fmt, args);
    va_end(args);
    remark(d, &d->lost, node, text);
    text_add_comment(&d->out, "# ", text_format(&d->arena, "not carried over: %s", text));
}

void draft_to_do(struct draft *d, const struct tree *node, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = format(d, fmt, args);
    va_end(args);
    remark(d, &d->to_do, node, text);
    text_add_comment(&d->out, "# ", text_format(&d->arena, "to do: %s", text));
}

void draft_comment(struct draft *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_add_comment(&d->out, "# ", format(d, fmt, args));
    va_end(args);
}

void draft_hide(struct draft *d, size_t from)
{
    const char *text =
        arena_strdup(&d->arena, (struct slice){d->out.ptr + from, d->out.len - from});
    d->out.len = from;
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (len && *text != '#')
            buf_adds(&d->out, "# ");
        len += text[len] == '\n';
        buf_append(&d->out, text, len);
        text += len;
    }
}

void draft_string(struct draft *d, const char *key, struct slice value)
{
    buf_addf(&d->out, "%s = ", key);
    text_add_toml(&d->out, value);
    buf_addc(&d->out, '\n');
}

void draft_list(struct draft *d, const char *key, const struct string_list *list)
{
    buf_addf(&d->out, "%s = ", key);
    text_add_list(&d->out, list);
    buf_addc(&d->out, '\n');
}

void draft_line(struct draft *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_adds(&d->out, format(d, fmt, args));
    va_end(args);
    buf_addc(&d->out, '\n');
}

const char *draft_path(struct draft *d, const char *dir, const char *path)
{
    if (*path == '/')
        return path;
    return path_from(&d->arena, d->dir, path_join(&d->arena, dir, path));
}

const char *draft_name(struct draft *d, struct slice name)
{
    char *kept = text_format(&d->arena, "%s" SLICE_FMT,
                             name.len && (name.ptr[0] == '-' || name.ptr[0] == '.') ? "s" : "",
                             SLICE_ARG(name));
    for (char *at = kept; *at; at++)
        if (!strchr("_.-", *at) && !((*at | 32) >= 'a' && (*at | 32) <= 'z') &&
            !(*at >= '0' && *at <= '9'))
            *at = '_';
    if (strlen(kept) > 64)
        kept[64] = '\0';
    return *kept ? kept : "service";
}

void draft_section(struct draft *d, const char *name)
{
    buf_adds(&d->out, "\n[services.");
    text_add_key(&d->out, slice_of(name));
    buf_adds(&d->out, "]\n");
}

void draft_env(struct draft *d, const char *name, const struct string_list *env)
{
    if (env->count == 0)
        return;
    buf_adds(&d->out, "\n[services.");
    text_add_key(&d->out, slice_of(name));
    buf_adds(&d->out, ".env]\n");
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->items[i], '=');
        struct slice key = {env->items[i], (size_t)(equals - env->items[i])};
        text_add_key(&d->out, key);
        buf_adds(&d->out, " = ");
        text_add_toml(&d->out, slice_of(equals + 1));
        buf_addc(&d->out, '\n');
    }
}

void draft_route(struct draft *d, const char *path, const char *to, const char *strip)
{
    buf_adds(&d->out, "\n[[routes]]\n");
    draft_string(d, "path", slice_of(path));
    draft_string(d, "to", slice_of(to));
    if (strip)
        draft_string(d, "strip_prefix", slice_of(strip));
}
