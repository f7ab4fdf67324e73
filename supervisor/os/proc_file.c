#include "os/proc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

ssize_t proc_file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t n = 0;
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    int why = errno;
    close(fd);
    text[len] = '\0';
    errno = why;
    return n < 0 ? -1 : (ssize_t)len;
}

int proc_file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int rc = n < 0 ? -errno : 0;
    close(fd);
    return rc;
}

bool proc_file_number(const char *text, const char *key, uint64_t *out)
{
    size_t len = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, len) != 0 || (at[len] != ' ' && at[len] != '\t'))
            continue;
        char *end;
        uint64_t n = strtoull(at + len, &end, 10);
        if (end == at + len)
            return false;
        *out = n;
        return true;
    }
    return false;
}
