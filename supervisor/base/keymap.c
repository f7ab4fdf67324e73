#include "base/keymap.h"

#include <assert.h>

enum { FIRST_CAP = 64 };

static struct keymap_node **bucket(const struct keymap *map, uint64_t hash)
{
    return &map->buckets[hash & (map->cap - 1)];
}

static void put(struct keymap *map, struct keymap_node *node)
{
    struct keymap_node **home = bucket(map, node->hash);
    node->next = *home;
    *home = node;
}

/* In the order of their buckets from the end, so that those of one hash keep theirs. */
static void put_chain(struct keymap *map, struct keymap_node *chain)
{
    struct keymap_node *back = NULL;
    while (chain) {
        struct keymap_node *node = chain;
        chain = node->next;
        node->next = back;
        back = node;
    }
    while (back) {
        struct keymap_node *node = back;
        back = node->next;
        put(map, node);
    }
}

static void resize(struct keymap *map, size_t cap)
{
    struct keymap old = *map;
    map->buckets = xcalloc(cap, sizeof(struct keymap_node *));
    map->cap = cap;
    for (size_t i = 0; i < old.cap; i++)
        put_chain(map, old.buckets[i]);
    xfree(old.buckets);
}

void keymap_add(struct keymap *map, struct keymap_node *node, uint64_t hash)
{
    if (map->count == map->cap)
        resize(map, map->cap ? map->cap * 2 : FIRST_CAP);
    node->hash = hash;
    put(map, node);
    map->count++;
}

void keymap_remove(struct keymap *map, struct keymap_node *node)
{
    struct keymap_node **at = bucket(map, node->hash);
    while (*at != node) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = node->next;
    map->count--;
    if (map->count < map->cap / 8 && map->cap > FIRST_CAP)
        resize(map, map->cap / 2);
}

static struct keymap_node *with_hash(struct keymap_node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

struct keymap_node *keymap_find(const struct keymap *map, uint64_t hash)
{
    return map->cap ? with_hash(*bucket(map, hash), hash) : NULL;
}

struct keymap_node *keymap_next(const struct keymap_node *node)
{
    return with_hash(node->next, node->hash);
}

void keymap_deinit(struct keymap *map)
{
    xfree(map->buckets);
    *map = (struct keymap){0};
}
