#include "import/routes.h"

#include "import/yaml.h"

/* A program of that name, or whose folder begins with it. */
static bool has_program(struct draft *d, const char *target)
{
    static const char *const ends[] = {"", "-app", ".js", ".py", ".mjs"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (path_exists(text_format(&d->arena, "%s/workers/%s%s", d->dir, target, ends[i])))
            return true;
    return false;
}

static void read_route(struct draft *d, const struct tree *route, struct string_list *targets)
{
    static const char *const known[] = {"path", "method", "methods", "target", "description"};
    const struct tree *target = tree_get(route, "target");
    for (const struct tree *at = route->first; at; at = at->next) {
        size_t n = 0;
        while (n < ARRAY_LEN(known) && !slice_is(at->key, known[n]))
            n++;
        if (n == ARRAY_LEN(known))
            draft_lost(d, at, "%.60s: not known to nodey", at->key.ptr);
    }
    if (!tree_is_text(target)) {
        draft_lost(d, route, "a route without a target");
        return;
    }
    struct slice name = {target->text.ptr, strcspn(target->text.ptr, ":")};
    for (size_t i = 0; i < targets->count; i++)
        if (slice_is(name, targets->items[i]))
            return;
    text_list_add(&d->arena, targets, arena_strdup(&d->arena, name));
}

int routes_import(struct draft *d, const char *path, const char *shown)
{
    struct string_list targets = {0};
    const struct tree *root = tree_read(&d->arena, path, shown, NULL, d->err);
    if (!root)
        return -1;
    const struct tree *list = root->type == TREE_MAP ? tree_get(root, "routes") : root;
    if (!list || list->type != TREE_LIST)
        return tree_fail(root, d->err, "routes.json is a list of routes");
    draft_comment(d,
                  "nodey reads routes.json itself: it stays as it is, beside this file. .env, "
                  "too, and from it LOADBALANCER_PORT.");
    for (const struct tree *at = list->first; at; at = at->next)
        if (at->type == TREE_MAP)
            read_route(d, at, &targets);
        else
            draft_lost(d, at, "a route that is no object");
    if (strcmp(root->source->dir, d->dir) != 0)
        draft_to_do(d, NULL, "move %s to this folder", shown);
    for (size_t i = 0; i < targets.count; i++)
        if (!has_program(d, targets.items[i]))
            draft_to_do(d, NULL, "move the app that routes.json calls \"%s\" to workers/%s",
                        targets.items[i], targets.items[i]);
    buf_adds(&d->out, "\n[server]\n");
    draft_comment(d,
                  "Answers POST /ask as the bridges did; without clients of it, remove this.");
    draft_line(d, "ask_endpoint = true");
    return 0;
}
