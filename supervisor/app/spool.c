#include "app/spool.h"

#include <errno.h>

struct spool *spool_new(struct loop *loop, const char *folder, void (*changed)(void *),
                        void *owner)
{
    struct spool *s = xcalloc(1, sizeof(*s));
    s->loop = loop;
    s->folder = folder;
    s->changed = changed;
    s->owner = owner;
    return s;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    if (s->on_disk)
        disk_close(&s->disk);
    buf_deinit(&s->memory);
    buf_deinit(&s->piece);
    xfree(s);
}

static bool is_writing(const struct spool *s)
{
    return s->on_disk && disk_busy(&s->disk);
}

bool spool_wants(const struct spool *s)
{
    return !s->trouble && !s->ended && (!is_writing(s) || s->memory.len < SPOOL_MEMORY);
}

bool spool_whole(const struct spool *s)
{
    return s->ended && !s->trouble && !is_writing(s);
}

uint64_t spool_size(const struct spool *s)
{
    return (s->on_disk ? s->disk.size : 0) + s->memory.len;
}

static void write_out(struct spool *s);

static void on_wrote(struct disk *disk, int status)
{
    struct spool *s = container_of(disk, struct spool, disk);
    if (status)
        s->trouble = status;
    else if (!s->ended && s->memory.len >= SPOOL_MEMORY)
        write_out(s);
    s->changed(s->owner); /* may free it */
}

static void write_out(struct spool *s)
{
    if (!s->on_disk) {
        s->trouble = disk_open(&s->disk, s->loop, s->folder, on_wrote);
        if (s->trouble)
            return;
        s->on_disk = true;
    }
    disk_append(&s->disk, &s->memory);
}

void spool_add(struct spool *s, struct slice bytes)
{
    buf_add(&s->memory, bytes);
    if (s->memory.len >= SPOOL_MEMORY && !is_writing(s))
        write_out(s);
}

void spool_end(struct spool *s)
{
    s->ended = true;
}

struct slice spool_read(struct spool *s, uint64_t at, size_t max)
{
    uint64_t filed = s->on_disk ? s->disk.size : 0;
    if (at >= filed) {
        struct slice rest =
            slice_from(buf_slice(&s->memory), (size_t)MIN(at - filed, (uint64_t)s->memory.len));
        return (struct slice){rest.ptr, MIN(rest.len, max)};
    }
    buf_clear(&s->piece);
    int64_t got = disk_read(&s->disk, at, (size_t)MIN(filed - at, (uint64_t)max), &s->piece);
    if (got <= 0)
        s->trouble = got ? (int)got : -EIO;
    return buf_slice(&s->piece);
}
