#include "app/filed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool lies_in(const char *path, const char *root)
{
    char real[PATH_MAX];
    if (!realpath(root, real))
        return false;
    size_t len = strlen(real);
    return strncmp(path, real, len) == 0 && (path[len] == '/' || len == 1);
}

/* Asked of the open file, so that nobody can put a link in its place meanwhile. */
static bool is_allowed(const struct worker_config *config, int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    for (size_t i = 0; i < config->file_roots.count; i++)
        if (lies_in(path, config->file_roots.items[i]))
            return true;
    return false;
}

static int check(const struct worker_config *config, int fd, const struct frame *f,
                 struct http_file *file, struct err *err)
{
    struct stat st;
    if (!is_allowed(config, fd))
        return err_set(err, -1, "the file lies in none of the worker's file_roots");
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return err_set(err, -1, "it is no regular file");
    uint64_t size = (uint64_t)st.st_size;
    uint64_t length = f->has_length ? f->length : size - MIN(f->offset, size);
    if (f->offset > size || length > size - f->offset)
        return err_set(err, -1, "the file has %llu bytes, which offset and length exceed",
                       (unsigned long long)size);
    *file = (struct http_file){.fd = fd, .offset = f->offset, .length = length};
    return 0;
}

int filed_open(const struct worker_config *config, const struct frame *f,
               struct http_file *file, struct err *err)
{
    struct buf path = {0};
    int rc;
    json_unescape(&f->file, &path);
    if (path.len == 0 || path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len)) {
        rc = err_set(err, -1, "file must be an absolute path");
    } else {
        /* A fifo would be waited for. */
        int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        rc = fd < 0 ? err_set(err, -1, "the file cannot be opened: %s", strerror(errno))
                    : check(config, fd, f, file, err);
        if (fd >= 0 && rc)
            close(fd);
    }
    buf_deinit(&path);
    return rc;
}
