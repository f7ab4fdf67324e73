/* Files and folders of a compose service: volumes, env_file, develop. */
#include "import/serviceitem.h"

static void write_volume(const struct item *i, const struct tree *at, const char *source,
                         const char *target)
{
    struct draft *d = i->draft;
    const struct service *v = i->service;
    bool is_path = source && (source[0] == '.' || source[0] == '/' || source[0] == '~');
    const char *inner = path_join(&d->arena, "/", v->inner), *rest = path_below(inner, target);
    const char *name = is_path ? draft_path(d, at->source->dir, source) : source;
    bool own = v->context || (v->image && v->image->kind == IMAGE_RUNTIME);
    if (strcmp(target, "/var/run/docker.sock") == 0)
        draft_lost(d, at, "%s spoke to Docker itself: there is none here", v->name);
    else if (v->role == ROLE_SERVER && !is_path)
        draft_comment(d, "Its data (the volume %s) lie in data/%s.", source ? source : target,
                      v->name);
    else if (v->role == ROLE_SERVER)
        draft_lost(d, at, "%s was at %s in the container: see to it that it is used", name,
                   target);
    else if (is_path && rest && own && v->cwd)
        draft_comment(d, "%s is used where it lies.", name);
    else if (!is_path && rest && strcmp(inner, "/") != 0)
        draft_comment(d, "%s is the folder %s of its working directory, and stays as it is.",
                      source ? source : target, *rest ? rest : ".");
    else if (is_path)
        draft_lost(d, at, "%s was at %s in the container: tell %s to use it where it lies",
                   name, target, v->name);
    else
        draft_lost(d, at, "the volume at %s: tell %s which folder to use instead", target,
                   v->name);
}

void item_volumes(const struct item *i)
{
    struct arena *a = &i->draft->arena;
    for (const struct tree *at = i->value->first; at; at = at->next) {
        const struct tree *from = tree_get(at, "source"), *to = tree_get(at, "target");
        const char *parts[3];
        if (at->type == TREE_TEXT) {
            size_t count = stack_split(a, at->text, parts, 3);
            write_volume(i, at, count > 1 ? parts[0] : NULL, parts[count > 1]);
        } else if (tree_is_text(to)) {
            write_volume(i, at, tree_is_text(from) ? from->text.ptr : NULL, to->text.ptr);
        } else {
            item_lost(i, at);
        }
    }
}

static void add_env_file(const struct item *i, const struct tree *at, struct string_list *list)
{
    struct draft *d = i->draft;
    const struct tree *path = at->type == TREE_MAP ? tree_get(at, "path") : at;
    const struct tree *required = tree_get(at, "required");
    if (!tree_is_text(path)) {
        item_lost(i, at);
        return;
    }
    const char *name = draft_path(d, at->source->dir, path->text.ptr);
    if (item_has_variable(path->text) || path_exists(path_join(&d->arena, d->dir, name)))
        text_list_add(&d->arena, list, name);
    else if (tree_is_text(required) && !tree_is_true(required))
        draft_comment(d, "env_file %s is not there, and need not be.", name);
    else
        draft_lost(d, at, "env_file: %s is not there", name);
}

void item_env_file(const struct item *i)
{
    struct string_list list = {0};
    const struct tree *first = i->value->type == TREE_LIST ? i->value->first : i->value;
    for (const struct tree *at = first; at; at = i->value == at ? NULL : at->next)
        add_env_file(i, at, &list);
    if (list.count)
        draft_list(i->draft, "env_file", &list);
}

void item_develop(const struct item *i)
{
    struct string_list list = {0};
    const struct tree *watch = tree_get(i->value, "watch");
    for (const struct tree *at = watch ? watch->first : NULL; at; at = at->next) {
        const struct tree *path = tree_get(at, "path");
        const char *name =
            tree_is_text(path) ? draft_path(i->draft, at->source->dir, path->text.ptr) : NULL;
        if (name)
            text_list_add(&i->draft->arena, &list, name);
    }
    if (list.count)
        draft_list(i->draft, "watch", &list);
}
