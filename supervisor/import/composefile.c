#include "import/composefile.h"

#include "import/yaml.h"

struct joining {
    struct draft *draft;
    struct arena *arena;
    unsigned loads; /* of other files, in all */
    size_t work;    /* members that were compared, in all */
};

enum { MAX_LOADS = 64, MAX_WORK = 10 * 1000 * 1000 };

const struct tree *composefile_map(struct arena *a, const struct tree *node)
{
    if (!node || node->type != TREE_LIST)
        return node;
    struct tree *map = tree_new(a, TREE_MAP, node);
    map->key = node->key;
    for (const struct tree *at = node->first; at; at = at->next) {
        if (at->type != TREE_TEXT)
            continue;
        size_t len = strcspn(at->text.ptr, "=");
        struct slice name = {at->text.ptr, len};
        struct tree *value =
            tree_text_new(a, slice_from(at->text, len + (at->text.ptr[len] == '=')), at);
        value->plain = at->text.ptr[len] != '='; /* NAME alone has no value */
        if (!tree_find(map, name))
            tree_add(a, map, name, value);
    }
    return map;
}

/* ----------------------------------------------------------------------- merging */

static bool is_any(struct slice key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(key, names[i]))
            return true;
    return false;
}

static bool is_replaced_whole(struct slice key)
{
    static const char *const names[] = {"command", "entrypoint", "test"};
    return is_any(key, names, ARRAY_LEN(names));
}

static bool is_mapping(struct slice key)
{
    static const char *const names[] = {"environment", "labels",      "depends_on", "args",
                                        "extra_hosts", "annotations", "sysctls",    "networks"};
    return is_any(key, names, ARRAY_LEN(names));
}

static const struct tree *join_lists(struct joining *j, const struct tree *below,
                                     const struct tree *above)
{
    struct tree *list = tree_new(j->arena, TREE_LIST, above);
    const struct tree *both[] = {below, above};
    for (size_t i = 0; i < ARRAY_LEN(both); i++)
        for (const struct tree *at = both[i]->first; at; at = at->next) {
            const struct tree *same = list->first;
            while (same && (at->type != TREE_TEXT || same->type != TREE_TEXT ||
                            !slice_eq(same->text, at->text)))
                same = same->next;
            if (!same)
                tree_add(j->arena, list, (struct slice){"", 0}, at);
        }
    return list;
}

/* A text as a list of one, as compose has it of env_file. */
static const struct tree *as_list(struct joining *j, const struct tree *node)
{
    if (node->type != TREE_TEXT)
        return node;
    struct tree *list = tree_new(j->arena, TREE_LIST, node);
    tree_add(j->arena, list, (struct slice){"", 0}, node);
    return list;
}

/* What `above` says wins. */
static const struct tree *join(struct joining *j, const struct tree *below,
                               const struct tree *above, unsigned depth)
{
    struct slice key = above->key;
    j->work += (below->count + 1) * (above->count + 1);
    if (slice_is(above->tag, "!override") || is_replaced_whole(key) ||
        depth > COMPOSEFILE_MAX_DEPTH || j->work > MAX_WORK)
        return above;
    if (is_mapping(key)) {
        below = composefile_map(j->arena, below);
        above = composefile_map(j->arena, above);
    }
    bool list = below->type == TREE_LIST || above->type == TREE_LIST;
    if (list && below->type != TREE_MAP && above->type != TREE_MAP)
        return join_lists(j, as_list(j, below), as_list(j, above));
    if (below->type != TREE_MAP || above->type != TREE_MAP)
        return above;
    struct tree *map = tree_new(j->arena, TREE_MAP, above);
    for (const struct tree *at = below->first; at; at = at->next) {
        const struct tree *over = tree_find(above, at->key);
        if (!over || !slice_is(over->tag, "!reset"))
            tree_add(j->arena, map, at->key, over ? join(j, at, over, depth + 1) : at);
    }
    for (const struct tree *at = above->first; at; at = at->next)
        if (!tree_find(below, at->key) && !slice_is(at->tag, "!reset"))
            tree_add(j->arena, map, at->key, at);
    return map;
}

/* ----------------------------------------------------------------------- reading */

static const struct tree *read_file(struct joining *j, const char *path, const char *shown)
{
    bool more;
    const struct tree *root = tree_read(j->arena, path, shown, &more, j->draft->err);
    if (!root)
        return NULL;
    if (root->type != TREE_MAP) {
        tree_fail(root, j->draft->err, "a compose file is a map with \"services\" in it");
        return NULL;
    }
    const struct tree *services = tree_get(root, "services");
    if (!tree_is_null(services) && services->type != TREE_MAP) {
        tree_fail(services, j->draft->err, "\"services\" must be a map of services");
        return NULL;
    }
    for (const struct tree *at = services ? services->first : NULL; at; at = at->next)
        if (at->type != TREE_MAP && !slice_is(at->tag, "!reset")) {
            tree_fail(at, j->draft->err, "the service \"%.60s\" must be a map", at->key.ptr);
            return NULL;
        }
    if (more)
        draft_lost(j->draft, root, "all behind the first document of this file (\"---\")");
    return root;
}

/* A file that another one names. */
static const struct tree *read_other(struct joining *j, const struct tree *name)
{
    if (++j->loads > MAX_LOADS) {
        tree_fail(name, j->draft->err, "more than %d files belong together here", MAX_LOADS);
        return NULL;
    }
    const char *path = path_join(j->arena, name->source->dir, name->text.ptr);
    const struct tree *root = read_file(j, path, path_from(j->arena, j->draft->dir, path));
    if (!root) {
        struct err cause = *j->draft->err;
        if (cause.code < -1)
            tree_fail(name, j->draft->err, "%s", cause.text);
    }
    return root;
}

static const struct tree *resolve(struct joining *j, const struct tree *services,
                                  const struct tree *service, unsigned depth);

static const struct tree *find_base(struct joining *j, const struct tree *services,
                                    const struct tree *extends, unsigned depth)
{
    const struct tree *file = tree_get(extends, "file"), *root;
    const struct tree *name =
        extends->type == TREE_MAP ? tree_get(extends, "service") : extends;
    if (!tree_is_text(name)) {
        tree_fail(extends, j->draft->err, "extends must name a service");
        return NULL;
    }
    if (tree_is_text(file)) {
        if (!(root = read_other(j, file)))
            return NULL;
        services = tree_get(root, "services");
    }
    const struct tree *base = tree_find(services, name->text);
    if (!base) {
        tree_fail(name, j->draft->err, "there is no service \"%.60s\" to extend",
                  name->text.ptr);
        return NULL;
    }
    return resolve(j, services, base, depth + 1);
}

/* A service with all that it extends in it. */
static const struct tree *resolve(struct joining *j, const struct tree *services,
                                  const struct tree *service, unsigned depth)
{
    const struct tree *extends = tree_get(service, "extends"), *base;
    if (tree_is_null(extends))
        return service;
    if (depth > COMPOSEFILE_MAX_DEPTH) {
        tree_fail(extends, j->draft->err, "services extend each other in a circle");
        return NULL;
    }
    if ((j->work += service->count) > MAX_WORK) {
        tree_fail(extends, j->draft->err, "services extend each other too much");
        return NULL;
    }
    if (!(base = find_base(j, services, extends, depth)))
        return NULL;
    struct tree *own = tree_new(j->arena, TREE_MAP, service);
    for (const struct tree *at = service->first; at; at = at->next)
        if (!slice_is(at->key, "extends"))
            tree_add(j->arena, own, at->key, at);
    return join(j, base, own, 0);
}

static const struct tree *with_override(struct joining *j, const struct tree *root,
                                        const char *path, const char *shown)
{
    static const char *const ends[] = {".yaml", ".yml"};
    const char *slash = strrchr(shown, '/'), *dot = strrchr(shown, '.');
    const char *name = slash ? slash + 1 : shown;
    if (!dot ||
        (strncmp(name, "compose.", 8) != 0 && strncmp(name, "docker-compose.", 15) != 0))
        return root;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t stem = strlen(path) - strlen(dot);
        char *other = text_format(j->arena, "%.*s.override%s", (int)stem, path, ends[i]);
        if (!path_exists(other))
            continue;
        const struct tree *over = read_file(
            j, other,
            text_format(j->arena, "%.*s.override%s", (int)(dot - shown), shown, ends[i]));
        return over ? join(j, root, over, 0) : NULL;
    }
    return root;
}

static const struct tree *load(struct joining *j, const struct tree *root, unsigned depth);

/* Services of included files come first; a file's own win. */
static const struct tree *with_included(struct joining *j, const struct tree *root,
                                        unsigned depth)
{
    const struct tree *include = tree_get(root, "include");
    if (tree_is_null(include))
        return root;
    for (const struct tree *at = as_list(j, include)->first; at; at = at->next) {
        const struct tree *path = at->type == TREE_MAP ? tree_get(at, "path") : at;
        path = path && path->type == TREE_LIST ? path->first : path;
        const struct tree *other =
            tree_is_text(path) && depth < COMPOSEFILE_MAX_DEPTH ? read_other(j, path) : NULL;
        if (!tree_is_text(path) || depth >= COMPOSEFILE_MAX_DEPTH)
            tree_fail(at, j->draft->err, "include must name files, and not in a circle");
        if (!other || !(other = load(j, other, depth + 1)))
            return NULL;
        root = join(j, other, root, 0);
    }
    return root;
}

static const struct tree *load(struct joining *j, const struct tree *root, unsigned depth)
{
    struct tree *whole, *services;
    const struct tree *resolved;
    if (!(root = with_included(j, root, depth)))
        return NULL;
    const struct tree *written = tree_get(root, "services");
    whole = tree_new(j->arena, TREE_MAP, root);
    services = tree_new(j->arena, TREE_MAP, root);
    for (const struct tree *at = written ? written->first : NULL; at; at = at->next) {
        if (!(resolved = resolve(j, written, at, 0)))
            return NULL;
        tree_add(j->arena, services, at->key, resolved);
    }
    for (const struct tree *at = root->first; at; at = at->next)
        if (!slice_is(at->key, "services") && !slice_is(at->key, "include"))
            tree_add(j->arena, whole, at->key, at);
    tree_add(j->arena, whole, SLICE("services"), services);
    return whole;
}

const struct tree *composefile_load(struct draft *d, const char *path, const char *shown)
{
    struct joining j = {.draft = d, .arena = &d->arena};
    const struct tree *root = read_file(&j, path, shown);
    if (root)
        root = load(&j, root, 0);
    if (root)
        root = with_override(&j, root, path, shown);
    if (root)
        root = load(&j, root, 0); /* what the override file extends and includes */
    if (!root)
        return NULL;
    size_t count = tree_get(root, "services")->count;
    if (count > 0 && count <= COMPOSEFILE_MAX_SERVICES)
        return root;
    if (count == 0)
        tree_fail(root, d->err, "there are no services here");
    else
        tree_fail(root, d->err, "more than %d services", COMPOSEFILE_MAX_SERVICES);
    return NULL;
}
