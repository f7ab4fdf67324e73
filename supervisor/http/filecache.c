#include "http/filecache.h"

#include "base/siphash.h"

struct kept {
    struct keymap_node node;
    struct list queue;
    struct stat st;
    size_t path_len;
    size_t len;
    char bytes[]; /* the path with its NUL, then the contents */
};

/* Only files that exist are kept, and nobody outside makes them: the key may be known. */
static uint64_t hash_of(const char *path)
{
    return siphash(&(struct siphash_key){{0}}, slice_of(path));
}

static struct kept *find(const struct filecache *c, const char *path, uint64_t hash)
{
    struct keymap_node *node = keymap_find(&c->map, hash);
    for (; node; node = keymap_next(node)) {
        struct kept *k = container_of(node, struct kept, node);
        if (strcmp(k->bytes, path) == 0)
            return k;
    }
    return NULL;
}

static size_t size_of(const struct kept *k)
{
    return sizeof(*k) + k->path_len + 1 + k->len;
}

static void forget(struct filecache *c, struct kept *k)
{
    keymap_remove(&c->map, &k->node);
    list_del(&k->queue);
    c->bytes -= size_of(k);
    xfree(k);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The time of change counts too: it tells of permissions, and cannot be set back. */
static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

void filecache_init(struct filecache *c)
{
    *c = (struct filecache){.bytes = 0};
    list_init(&c->queue);
}

void filecache_deinit(struct filecache *c)
{
    while (!list_empty(&c->queue))
        forget(c, list_first(&c->queue, struct kept, queue));
    keymap_deinit(&c->map);
}

bool filecache_find(struct filecache *c, const char *path, struct stat *st,
                    struct slice *contents)
{
    struct kept *k = c->map.count ? find(c, path, hash_of(path)) : NULL;
    if (!k)
        return false;
    if (stat(path, st) != 0 || !same_file(st, &k->st)) {
        forget(c, k);
        return false;
    }
    list_del(&k->queue);
    list_push(&c->queue, &k->queue);
    *contents = (struct slice){k->bytes + k->path_len + 1, k->len};
    return true;
}

void filecache_put(struct filecache *c, const char *path, const struct stat *st,
                   struct slice contents, int64_t now_s)
{
    if (contents.len > FILECACHE_FILE_MAX || contents.len != (size_t)st->st_size ||
        MAX(st->st_mtim.tv_sec, st->st_ctim.tv_sec) + FILECACHE_SETTLED_S > now_s)
        return;
    uint64_t hash = hash_of(path);
    struct kept *old = find(c, path, hash);
    if (old)
        forget(c, old);
    size_t path_len = strlen(path);
    struct kept *k = xmalloc(sizeof(*k) + path_len + 1 + contents.len);
    k->st = *st;
    k->path_len = path_len;
    k->len = contents.len;
    memcpy(k->bytes, path, path_len + 1);
    if (contents.len)
        memcpy(k->bytes + path_len + 1, contents.ptr, contents.len);
    keymap_add(&c->map, &k->node, hash);
    list_push(&c->queue, &k->queue);
    c->bytes += size_of(k);
    while (c->bytes > FILECACHE_BYTES_MAX || c->map.count > FILECACHE_COUNT_MAX)
        forget(c, list_last(&c->queue, struct kept, queue));
}
