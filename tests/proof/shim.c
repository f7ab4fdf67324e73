/*
 * Preloaded into nodey, it makes the disk under "/bus/" bad as the file named by PROOF_DISK
 * says:
 *
 *   eio      fdatasync and fsync fail
 *   slow     they take half a second
 *   linger   a transaction's first write to the log comes 8 ms late, so that a kill is likely
 * to fall between what was done and what is stored
 *
 * Another word, or no file: the disk is as it is.  With PROOF_DIE=N the process is killed at
 * its N-th call that would change something there, before it does, and a line in PROOF_DEATHS
 * says at which.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINGER_US = 8000, SLOW_US = 500000, APART_NS = 2000000 };

static int is_of(int fd, const char *part)
{
    char name[64], path[4096];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(name, path, sizeof(path) - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return strstr(path, part) != NULL;
}

static int disk_is(const char *what)
{
    char word[16] = "";
    const char *path = getenv("PROOF_DISK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    if (read(file, word, sizeof(word) - 1) < 0)
        word[0] = '\0';
    close(file);
    return strncmp(word, what, strlen(what)) == 0;
}

static void die(const char *call, const char *path)
{
    char line[4200];
    int len = snprintf(line, sizeof(line), "%s %s\n", call, strrchr(path, '/') + 1);
    int file = open(getenv("PROOF_DEATHS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (file < 0 || write(file, line, (size_t)len) != len)
        abort();
    raise(SIGKILL);
}

static void changes_path(const char *call, const char *path)
{
    static atomic_long calls;
    const char *at = getenv("PROOF_DIE");
    if (at && strstr(path, "/bus/") && atomic_fetch_add(&calls, 1) + 1 == atol(at))
        die(call, path);
}

static void changes(const char *call, int fd)
{
    char name[64], path[4096];
    if (!getenv("PROOF_DIE"))
        return;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(name, path, sizeof(path) - 1);
    if (len < 0)
        return;
    path[len] = '\0';
    changes_path(call, path);
}

static int synced(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    changes(name, fd);
    if (is_of(fd, "/bus/")) {
        if (disk_is("slow"))
            usleep(SLOW_US);
        if (disk_is("eio")) {
            errno = EIO;
            return -1;
        }
    }
    return real(fd);
}

int fdatasync(int fd)
{
    return synced("fdatasync", fd);
}

int fsync(int fd)
{
    return synced("fsync", fd);
}

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Only the store's thread writes to its log. */
static void linger(int fd)
{
    static long long last;
    if (!is_of(fd, "/bus/bus.db-wal") || !disk_is("linger"))
        return;
    if (now_ns() - last > APART_NS)
        usleep(LINGER_US);
    last = now_ns();
}

typedef ssize_t pwrite_function(int, const void *, size_t, off_t);

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    changes("pwrite", fd);
    linger(fd);
    return ((pwrite_function *)dlsym(RTLD_NEXT, "pwrite"))(fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    changes("pwrite", fd);
    linger(fd);
    return ((pwrite_function *)dlsym(RTLD_NEXT, "pwrite64"))(fd, bytes, len, at);
}

typedef int truncate_function(int, off_t);

int ftruncate(int fd, off_t size)
{
    changes("ftruncate", fd);
    return ((truncate_function *)dlsym(RTLD_NEXT, "ftruncate"))(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    changes("ftruncate", fd);
    return ((truncate_function *)dlsym(RTLD_NEXT, "ftruncate64"))(fd, size);
}

int unlink(const char *path)
{
    changes_path("unlink", path);
    return ((int (*)(const char *))dlsym(RTLD_NEXT, "unlink"))(path);
}
