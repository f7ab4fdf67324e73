#include "app/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_one(const char *path, struct err *err)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return 0;
    int why = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return err_set(err, -1, "cannot make the folder %s: %s", path, strerror(why));
}

int datadir_make(const char *path, struct err *err)
{
    char *part = xstrdup(path);
    int rc = 0;
    for (char *at = part + 1; rc == 0 && (at = strchr(at, '/')); at++) {
        *at = '\0';
        rc = make_one(part, err);
        *at = '/';
    }
    if (rc == 0)
        rc = make_one(part, err);
    xfree(part);
    return rc;
}

static void ignore_in_git(const char *path)
{
    char *name = xasprintf("%s/.gitignore", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        IGNORE(write(fd, "*\n", 2) < 0); /* only untidy */
        close(fd);
    }
    xfree(name);
}

int datadir_open(const char *path, struct err *err)
{
    if (datadir_make(path, err))
        return -1;
    ignore_in_git(path);
    char *name = xasprintf("%s/lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = 0;
    if (fd < 0)
        rc = err_set(err, -1, "cannot write to the data folder %s: %s", path, strerror(errno));
    else if (flock(fd, LOCK_EX | LOCK_NB))
        rc = err_set(err, -1, "another nodey runs here already (it holds %s)", name);
    if (rc && fd >= 0)
        close(fd);
    xfree(name); /* the descriptor stays open on purpose: it is the lock */
    return rc;
}
