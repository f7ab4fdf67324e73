#include "import/tree.h"

#include <stdarg.h>
#include <stdio.h>

struct tree *tree_new(struct arena *a, enum tree_type type, const struct tree *place)
{
    struct tree *node = arena_alloc(a, sizeof(*node));
    *node = (struct tree){.type = type, .key = {"", 0}, .text = {"", 0}, .weight = 1};
    if (place) {
        node->source = place->source;
        node->line = place->line;
        node->column = place->column;
    }
    return node;
}

struct tree *tree_text_new(struct arena *a, struct slice text, const struct tree *place)
{
    struct tree *node = tree_new(a, TREE_TEXT, place);
    node->text = (struct slice){arena_strdup(a, text), text.len};
    return node;
}

struct tree *tree_add(struct arena *a, struct tree *parent, struct slice key,
                      const struct tree *node)
{
    struct tree *copy = arena_alloc(a, sizeof(*copy));
    *copy = *node;
    copy->next = NULL;
    copy->key = (struct slice){arena_strdup(a, key), key.len};
    if (parent->last)
        parent->last->next = copy;
    else
        parent->first = copy;
    parent->last = copy;
    parent->count++;
    parent->weight += node->weight;
    return copy;
}

const struct tree *tree_find(const struct tree *map, struct slice key)
{
    if (!map || map->type != TREE_MAP)
        return NULL;
    for (const struct tree *at = map->first; at; at = at->next)
        if (slice_eq(at->key, key))
            return at;
    return NULL;
}

const struct tree *tree_get(const struct tree *map, const char *key)
{
    return tree_find(map, slice_of(key));
}

const struct tree *tree_path(const struct tree *map, const char *path)
{
    while (map && *path) {
        struct slice key = {path, strcspn(path, ".")};
        map = tree_find(map, key);
        path += key.len + (path[key.len] == '.');
    }
    return map;
}

static bool is_one_of(const struct tree *node, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(node->text, words[i]))
            return true;
    return false;
}

bool tree_is_null(const struct tree *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    return !node ||
           (node->type == TREE_TEXT && node->plain && is_one_of(node, nulls, ARRAY_LEN(nulls)));
}

bool tree_is_text(const struct tree *node)
{
    return node && node->type == TREE_TEXT && !tree_is_null(node);
}

bool tree_is_true(const struct tree *node)
{
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes",
                                        "YES",  "on",   "On",   "ON"};
    return tree_is_text(node) && is_one_of(node, trues, ARRAY_LEN(trues));
}

int tree_fail(const struct tree *node, struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(err, -1, "%s:%u:%u: %s", node->source->shown, node->line, node->column,
                   text);
}
