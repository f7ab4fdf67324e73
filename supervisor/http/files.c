#include "http/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    /* A pipe without a writer, or a terminal, must not hold us up or become ours. */
    OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
    FD_PATH_MAX = 40,
};

bool folder_open(struct folder *f, const char *path)
{
    f->path = path;
    f->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return f->fd >= 0;
}

void folder_close(struct folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

/* The last segment may be empty: the name of a folder ends so. */
static bool segment_valid(struct slice segment, bool is_first, bool is_last)
{
    if (!segment.len)
        return is_last;
    return segment.ptr[0] != '.' || (is_first && slice_is(segment, ".well-known"));
}

bool files_name_valid(struct slice name)
{
    if (name.len > FILES_NAME_MAX ||
        (name.len && (memchr(name.ptr, '\\', name.len) || memchr(name.ptr, '\0', name.len))))
        return false;
    for (bool is_first = true;; is_first = false) {
        const char *slash = name.len ? memchr(name.ptr, '/', name.len) : NULL;
        struct slice segment = {name.ptr, slash ? (size_t)(slash - name.ptr) : name.len};
        if (!segment_valid(segment, is_first, !slash))
            return false;
        if (!slash)
            return true;
        name = slice_from(name, segment.len + 1);
    }
}

static int open_beneath(int folder, const char *name, uint64_t flags)
{
    struct open_how how = {.flags = flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
}

/* What a descriptor stands for, as the kernel names it. */
static bool name_of(int fd, char *path, size_t size)
{
    char link[FD_PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, size);
    if (len <= 0 || (size_t)len >= size)
        return false;
    path[len] = '\0';
    return true;
}

/*
 * For what openat2() cannot decide: a link that is absolute, or leaves the folder and comes
 * back, and kernels or sandboxes without it.  It is first found, which does nothing to it,
 * then the kernel says where it lies, and only what lies within is opened: that very thing,
 * whatever its names lead to by now.
 */
static int open_checked(int folder, const char *name)
{
    char root[PATH_MAX], path[PATH_MAX];
    int found = openat(folder, name, O_PATH | O_CLOEXEC);
    if (found < 0)
        return -1;
    int fd = -1;
    if (name_of(folder, root, sizeof(root)) && name_of(found, path, sizeof(path))) {
        size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0')) {
            char link[FD_PATH_MAX];
            snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
            fd = open(link, OPEN_FLAGS);
        }
    }
    close(found);
    return fd;
}

enum files_kind files_open(const struct folder *folder, struct slice name, struct file *file)
{
    char path[FILES_NAME_MAX + 1];
    *file = (struct file){.fd = -1};
    if (name.len > FILES_NAME_MAX)
        return FILES_NONE;
    memcpy(path, name.len ? name.ptr : ".", MAX(name.len, (size_t)1));
    path[MAX(name.len, (size_t)1)] = '\0';
    int fd = open_beneath(folder->fd, path, OPEN_FLAGS);
    if (fd < 0 && (errno == EXDEV || errno == EAGAIN || errno == ENOSYS || errno == EPERM))
        fd = open_checked(folder->fd, path);
    if (fd < 0)
        return FILES_NONE;
    enum files_kind kind = FILES_NONE;
    if (fstat(fd, &file->st) == 0)
        kind = S_ISREG(file->st.st_mode)   ? FILES_FILE
               : S_ISDIR(file->st.st_mode) ? FILES_FOLDER
                                           : FILES_NONE;
    if (kind == FILES_FILE)
        file->fd = fd;
    else
        close(fd);
    return kind;
}
