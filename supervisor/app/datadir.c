#include "app/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEFT_BEHIND_MS = 2000, LOOK_MS = 10 };

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

/* The process that holds the lock has written its id; 0 when it is not there to be read. */
static long read_holder(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

static void write_holder(int fd)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    IGNORE(ftruncate(fd, 0)); /* it is for the sentence alone */
    IGNORE(pwrite(fd, text, (size_t)len, 0) < len);
}

static int refuse(int fd, const char *name, struct err *err)
{
    static const char advice[] = "stop it, or give this one another data_dir";
    long holder = read_holder(fd);
    if (holder > 0)
        return err_set(err, -1, "another nodey (process %ld) runs here already: %s", holder,
                       advice);
    return err_set(err, -1, "another nodey runs here already (it holds %s): %s", name, advice);
}

/*
 * One that was killed while it started a process leaves that one with the lock until it is the
 * program that it is to become: a matter of milliseconds, and nobody runs here.
 */
static bool is_left_behind(int fd)
{
    long holder = read_holder(fd);
    return holder > 0 && kill((pid_t)holder, 0) < 0 && errno == ESRCH;
}

static bool take_lock(int fd)
{
    for (unsigned i = 0; i < LEFT_BEHIND_MS / LOOK_MS; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (!is_left_behind(fd))
            return false;
        usleep(LOOK_MS * 1000);
    }
    return false;
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
    else if (!take_lock(fd))
        rc = refuse(fd, name, err);
    else
        write_holder(fd);
    if (rc && fd >= 0)
        close(fd);
    xfree(name); /* the descriptor stays open on purpose: it is the lock */
    return rc;
}
