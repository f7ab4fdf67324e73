#include "base/arena.h"

enum { CHUNK_SIZE = 2048 - 32 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = xmalloc(sizeof(*chunk) + size);
    *chunk = (struct arena_chunk){.size = size};
    return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t align = _Alignof(max_align_t);
    size = (size + align - 1) & ~(align - 1);
    struct arena_chunk *chunk = a->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        chunk = chunk_new(MAX(size, (size_t)CHUNK_SIZE));
        chunk->next = a->chunks;
        a->chunks = chunk;
    }
    void *ptr = chunk->bytes + chunk->used;
    chunk->used += size;
    return ptr;
}

char *arena_strdup(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    return (struct slice){arena_strdup(a, s), s.len};
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = NULL;
    while (a->chunks) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        if (!keep && chunk->size == CHUNK_SIZE)
            keep = chunk;
        else
            xfree(chunk);
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->chunks = keep;
}

void arena_deinit(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        xfree(chunk);
    }
}
