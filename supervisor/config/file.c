#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

static int check_regular(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

static int read_all(int fd, size_t max, struct buf *text)
{
    enum { STEP = 64 * 1024 };

    ssize_t n;
    do {
        n = read(fd, buf_reserve(text, STEP), STEP);
        if (n > 0)
            text->len += (size_t)n;
    } while ((n > 0 && text->len <= max) || (n < 0 && errno == EINTR));
    return n < 0 ? -errno : 0;
}

int file_read(const char *path, size_t max, bool regular, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
    if (fd < 0)
        return -errno;
    int code = regular ? check_regular(fd) : 0;
    if (code == 0)
        code = read_all(fd, max, text);
    close(fd);
    return code;
}

const char *file_folder(struct arena *a, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    char *absolute = realpath(folder, NULL);
    const char *kept = absolute ? arena_strdup(a, slice_of(absolute)) : NULL;
    int error = errno;
    xfree(absolute);
    xfree(folder);
    errno = error;
    return kept;
}
