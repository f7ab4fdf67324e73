#include "bus/store_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int disk_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* Who has it is written in the lock's file. */
static int locked_by_another(const struct disk_room *room, struct err *err)
{
    char text[32] = "";
    ssize_t got = pread(room->lock, text, sizeof(text) - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return err_set(
            err, -EBUSY,
            "%s is in use by another nodey, process %ld; stop that one first, or give "
            "this one another data_dir",
            room->dir, pid);
    return err_set(err, -EBUSY, "%s is in use by another nodey; stop that one first",
                   room->dir);
}

static int take_lock(struct disk_room *room, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/lock", room->dir);
    room->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (room->lock < 0)
        return err_set(err, -errno, "%s cannot be written: %s", path, strerror(errno));
    if (flock(room->lock, LOCK_EX | LOCK_NB) < 0)
        return locked_by_another(room, err);
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(room->lock, 0) < 0 || pwrite(room->lock, text, (size_t)len, 0) != len)
        return 0; /* only its name for others is lost: the disk may be full */
    return 0;
}

static void reserve_path(const struct disk_room *room, char *path, size_t size)
{
    snprintf(path, size, "%s/reserve", room->dir);
}

/* When there is room for more than itself. */
static void make_reserve(const struct disk_room *room)
{
    char path[4096];
    struct stat st;
    reserve_path(room, path, sizeof(path));
    if (stat(path, &st) == 0 && st.st_size == STORE_RESERVE)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool made = posix_fallocate(fd, 0, STORE_RESERVE) == 0;
    close(fd);
    if (!made)
        unlink(path);
}

static void look(struct disk_room *room)
{
    struct statvfs st;
    if (statvfs(room->dir, &st) == 0)
        room->free = (uint64_t)st.f_bavail * st.f_frsize;
    room->full = room->free < room->min_free;
    if (room->free > room->min_free + 2 * (uint64_t)STORE_RESERVE)
        make_reserve(room);
}

/* What is written to files without a name is not there at the next start. */
static bool is_gone(const struct disk_room *room)
{
    struct stat held, named;
    char path[4096];
    snprintf(path, sizeof(path), "%s/lock", room->dir);
    if (fstat(room->lock, &held) < 0)
        return false;
    if (stat(path, &named) < 0)
        return errno == ENOENT || errno == ENOTDIR;
    return held.st_ino != named.st_ino || held.st_dev != named.st_dev;
}

int disk_room_open(struct disk_room *room, const char *dir, uint64_t min_free, struct err *err)
{
    *room = (struct disk_room){.dir = xstrdup(dir), .lock = -1, .min_free = min_free};
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "%s cannot be made: %s", dir, strerror(errno));
    int rc = take_lock(room, err);
    if (rc == 0 && min_free)
        look(room);
    return rc;
}

void disk_room_close(struct disk_room *room)
{
    if (room->lock >= 0)
        close(room->lock);
    xfree(room->dir);
}

bool disk_room_check(struct disk_room *room, int64_t now_ms)
{
    bool was_full = room->full, was_gone = room->gone;
    if (now_ms >= room->checked_ms && now_ms < room->checked_ms + 1000)
        return false;
    room->checked_ms = now_ms;
    room->gone = is_gone(room);
    if (room->min_free)
        look(room);
    return room->full != was_full || room->gone != was_gone;
}

bool disk_room_exhausted(struct disk_room *room)
{
    char path[4096];
    reserve_path(room, path, sizeof(path));
    room->full = room->min_free > 0; /* until there is as much again */
    return unlink(path) == 0;
}
