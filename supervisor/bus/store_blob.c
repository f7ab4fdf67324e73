#include "bus/store_blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/store_disk.h"
#include "bus/store_sum.h"

enum { CHUNK = 65536 };

void blobs_init(struct blobs *b, const char *dir)
{
    *b = (struct blobs){.dir = xasprintf("%s/blobs", dir)};
}

void blobs_deinit(struct blobs *b)
{
    xfree(b->dir);
}

static int make_folder(struct blobs *b)
{
    if (b->made)
        return 0;
    if (mkdir(b->dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    char *parent = xstrndup(b->dir, (size_t)(strrchr(b->dir, '/') - b->dir));
    int rc = disk_sync_dir(parent);
    xfree(parent);
    b->made = rc == 0;
    return rc;
}

static int write_all(int fd, struct slice data)
{
    while (data.len) {
        ssize_t wrote = write(fd, data.ptr, data.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -EIO;
        data = slice_from(data, (size_t)wrote);
    }
    return 0;
}

int blob_write(struct blobs *b, struct blob_changes *changes, uint64_t number,
               struct slice data, char name[BLOB_NAME])
{
    uint64_t sum = 0;
    for (size_t at = 0; at < data.len; at += CHUNK)
        sum = store_sum(sum, data.ptr + at, MIN(data.len - at, CHUNK));
    snprintf(name, BLOB_NAME, "%llu-%016llx", (unsigned long long)number,
             (unsigned long long)sum);
    int rc = make_folder(b);
    if (rc)
        return rc;
    char *path = xasprintf("%s/%s", b->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = fd < 0 ? -errno : write_all(fd, data);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        rc = disk_sync_dir(b->dir);
    if (rc)
        unlink(path);
    else
        buf_append(&changes->written, name, strlen(name) + 1);
    xfree(path);
    b->bytes += rc ? 0 : data.len;
    return rc;
}

/* A whole one unless the file ends: the sum is made of chunks. */
static size_t read_chunk(int fd, char *chunk, uint64_t at)
{
    size_t have = 0;
    ssize_t got;
    while (have < CHUNK &&
           (got = pread(fd, chunk + have, CHUNK - have, (off_t)(at + have))) > 0)
        have += (size_t)got;
    return have;
}

bool blob_intact(const struct blobs *b, struct slice name, uint64_t size)
{
    struct buf path = {0};
    blob_path(b, name, &path);
    int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC);
    buf_deinit(&path);
    if (fd < 0)
        return false;
    char *chunk = xmalloc(CHUNK);
    uint64_t sum = 0, seen = 0;
    size_t got;
    while (seen < size && (got = read_chunk(fd, chunk, seen)) > 0) {
        sum = store_sum(sum, chunk, got);
        seen += got;
    }
    xfree(chunk);
    close(fd);
    char text[17];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    return seen == size && name.len > 16 && memcmp(name.ptr + name.len - 16, text, 16) == 0;
}

void blob_path(const struct blobs *b, struct slice name, struct buf *path)
{
    buf_adds(path, b->dir);
    buf_addc(path, '/');
    buf_add(path, name);
}

void blob_doom(struct blob_changes *changes, struct slice name)
{
    buf_add(&changes->doomed, name);
    buf_addc(&changes->doomed, '\0');
}

static void remove_all(struct blobs *b, const struct buf *names)
{
    for (size_t at = 0; at < names->len; at += strlen(names->ptr + at) + 1) {
        char *path = xasprintf("%s/%s", b->dir, names->ptr + at);
        struct stat st;
        if (stat(path, &st) == 0 && unlink(path) == 0)
            b->bytes -= MIN(b->bytes, (uint64_t)st.st_size);
        xfree(path);
    }
}

void blobs_end(struct blobs *b, struct blob_changes *changes, bool kept)
{
    remove_all(b, kept ? &changes->doomed : &changes->written);
    buf_clear(&changes->doomed);
    buf_clear(&changes->written);
}

void blobs_sweep(struct blobs *b, bool (*known)(void *arg, struct slice name), void *arg)
{
    DIR *dir = opendir(b->dir);
    if (!dir)
        return;
    b->made = true;
    b->bytes = 0;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        struct stat st;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
            continue;
        if (known(arg, slice_of(entry->d_name)))
            b->bytes += (uint64_t)st.st_size;
        else
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

/* A second name where the file system can, else the bytes. */
static int copy_one(int from_dir, const char *name, int to_dir)
{
    if (linkat(from_dir, name, to_dir, name, 0) == 0)
        return 0;
    int in = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = in < 0 || out < 0 ? -errno : 0;
    ssize_t sent = 1;
    while (rc == 0 && sent > 0) {
        sent = sendfile(out, in, NULL, 1 << 20);
        rc = sent < 0 ? -errno : 0;
    }
    if (rc == 0 && fsync(out) < 0)
        rc = -errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

int blobs_copy(const struct blobs *b, const char *to)
{
    DIR *dir = opendir(b->dir);
    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    int rc = mkdir(to, 0700) < 0 ? -errno : 0;
    int to_dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    while (rc == 0 && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            rc = copy_one(dirfd(dir), entry->d_name, to_dir);
    if (rc == 0 && fsync(to_dir) < 0)
        rc = -errno;
    if (to_dir >= 0)
        close(to_dir);
    closedir(dir);
    return rc;
}
