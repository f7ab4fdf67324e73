#include "loop/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct disk_write {
    uv_fs_t req;
    struct disk *disk; /* NULL: it was closed meanwhile */
    int fd;
    struct buf bytes;
    size_t done;
    uint64_t at;
};

/* Not every file system knows O_TMPFILE. */
static int open_named(const char *folder)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/body-XXXXXX", folder) >= sizeof(path))
        return UV_ENAMETOOLONG;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    IGNORE(unlink(path)); /* then it stays behind, and is of no harm */
    return fd;
}

int disk_open(struct disk *d, struct loop *loop, const char *folder,
              void (*wrote)(struct disk *, int status))
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = open_named(folder);
    if (fd < 0)
        return fd;
    *d = (struct disk){.loop = loop, .fd = fd, .wrote = wrote};
    return 0;
}

static void write_end(struct disk_write *w, int status)
{
    struct disk *d = w->disk;
    if (d)
        d->write = NULL;
    else
        close(w->fd);
    buf_deinit(&w->bytes);
    xfree(w);
    if (d)
        d->wrote(d, status);
}

static void on_written(uv_fs_t *req);

static int write_on(struct disk_write *w, struct loop *loop)
{
    uv_buf_t rest = uv_buf_init(w->bytes.ptr + w->done, (unsigned)(w->bytes.len - w->done));
    return uv_fs_write(&loop->uv, &w->req, w->fd, &rest, 1, (int64_t)(w->at + w->done),
                       on_written);
}

static void on_written(uv_fs_t *req)
{
    struct disk_write *w = container_of(req, struct disk_write, req);
    struct loop *loop = container_of(req->loop, struct loop, uv);
    int64_t result = req->result;
    uv_fs_req_cleanup(req);
    if (result <= 0) {
        write_end(w, result ? (int)result : UV_EIO);
        return;
    }
    w->done += (size_t)result;
    int rc = w->done == w->bytes.len ? 0 : write_on(w, loop);
    if (rc || w->done == w->bytes.len)
        write_end(w, rc);
}

void disk_append(struct disk *d, struct buf *bytes)
{
    struct disk_write *w = xcalloc(1, sizeof(*w));
    w->disk = d;
    w->fd = d->fd;
    w->bytes = *bytes;
    w->at = d->size;
    *bytes = (struct buf){0};
    d->size += w->bytes.len;
    d->write = w;
    int rc = write_on(w, d->loop);
    assert(!rc); /* it only says that there is nothing to write */
    IGNORE(rc);
}

int64_t disk_read(const struct disk *d, uint64_t at, size_t max, struct buf *out)
{
    ssize_t got;
    do {
        got = pread(d->fd, buf_reserve(out, max), max, (off_t)at);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    out->len += (size_t)got;
    return got;
}

void disk_close(struct disk *d)
{
    if (d->write)
        d->write->disk = NULL; /* it closes the descriptor */
    else
        close(d->fd);
    d->write = NULL;
    d->fd = -1;
}
