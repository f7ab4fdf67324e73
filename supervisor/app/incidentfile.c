#include "app/incidentfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DAY_LEN = 10, /* of "2026-11-21" */
    DIGITS_MIN = 4,
    DIGITS_MAX = 9,
    SCANNED_MAX = 100000, /* names in the folder that are looked at */
};

static const char ending[] = ".json";
static const char unfinished[] = ".new"; /* in front of an id */

char *incident_folder(const char *data_dir)
{
    return xasprintf("%s/incidents", data_dir);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool incident_is_id(struct slice id)
{
    if (id.len < DAY_LEN + 1 + DIGITS_MIN || id.len > DAY_LEN + 1 + DIGITS_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        bool dash = i == 4 || i == 7 || i == DAY_LEN;
        if (dash ? id.ptr[i] != '-' : !is_digit(id.ptr[i]))
            return false;
    }
    return true;
}

/* By the day, then by the count, which may have grown longer. */
static int compare(const char *a, const char *b)
{
    int days = strncmp(a, b, DAY_LEN);
    size_t len_a = strlen(a), len_b = strlen(b);
    if (days)
        return days;
    return len_a != len_b ? (len_a < len_b ? -1 : 1) : strcmp(a, b);
}

static int newest_first(const void *a, const void *b)
{
    return compare(b, a);
}

/* Of a file "ID.json"; empty: it is another one. */
static struct slice id_of(const char *file)
{
    struct slice name = slice_of(file);
    size_t len = sizeof(ending) - 1;
    if (name.len <= len || strcmp(file + name.len - len, ending) != 0)
        return (struct slice){0};
    name.len -= len;
    return incident_is_id(name) ? name : (struct slice){0};
}

int incident_ids_read(struct incident_ids *ids, const char *folder, struct err *err)
{
    size_t cap = 0;
    *ids = (struct incident_ids){0};
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? 0
                               : err_set(err, -errno, "cannot read the reports in %s: %s",
                                         folder, strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(dir)) && ids->count < SCANNED_MAX) {
        struct slice id = id_of(entry->d_name);
        if (!id.len)
            continue;
        if (ids->count == cap) {
            cap = cap ? cap * 2 : 64;
            ids->items = xrealloc(ids->items, cap * sizeof(*ids->items));
        }
        snprintf(ids->items[ids->count++], INCIDENT_ID, SLICE_FMT, SLICE_ARG(id));
    }
    closedir(dir);
    if (ids->count)
        qsort(ids->items, ids->count, sizeof(*ids->items), newest_first);
    return 0;
}

void incident_ids_deinit(struct incident_ids *ids)
{
    xfree(ids->items);
    *ids = (struct incident_ids){0};
}

void incident_next_id(const char *last, const char *day, char id[INCIDENT_ID])
{
    uint64_t n = 0;
    if (strncmp(last, day, DAY_LEN) == 0)
        IGNORE(!slice_to_u64(slice_of(last + DAY_LEN + 1), 999999999 - 1, &n)); /* then 0 */
    snprintf(id, INCIDENT_ID, "%.10s-%04u", day, (unsigned)n + 1);
}

int incident_read(const char *folder, const char *id, struct buf *out, struct err *err)
{
    char *path = xasprintf("%s/%s%s", folder, id, ending);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 0;
    if (fd >= 0) {
        char *to = buf_reserve(out, INCIDENT_BYTES);
        got = read(fd, to, INCIDENT_BYTES);
        out->len += got > 0 ? (size_t)got : 0;
    }
    int rc = got < 0 ? err_set(err, -errno, "cannot read %s: %s", path, strerror(errno)) : 0;
    if (fd >= 0)
        close(fd);
    xfree(path);
    return rc;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* No fsync: a loop that serves does not wait for a disk, and a crash of nodey loses nothing. */
int incident_write(const char *folder, const char *id, struct slice json, struct err *err)
{
    char *path = xasprintf("%s/%s%s", folder, id, ending);
    char *beside = xasprintf("%s/%s%s", folder, unfinished, id);
    int fd = create(beside);
    if (fd < 0 && errno == ENOENT && mkdir(folder, 0700) == 0)
        fd = create(beside);
    int rc = fd < 0 ? -errno : write_all(fd, json);
    if (fd >= 0)
        close(fd);
    if (rc == 0 && rename(beside, path))
        rc = -errno;
    if (rc) {
        IGNORE(unlink(beside)); /* it may not be there */
        rc = err_set(err, rc, "a report cannot be kept in %s: %s", folder, strerror(-rc));
    }
    xfree(beside);
    xfree(path);
    return rc;
}

static void remove_unfinished(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, unfinished, sizeof(unfinished) - 1) == 0)
            IGNORE(unlinkat(dirfd(dir), entry->d_name, 0)); /* the next prune tries again */
    closedir(dir);
}

void incident_prune(const char *folder, size_t keep)
{
    struct incident_ids ids;
    struct err err;
    if (incident_ids_read(&ids, folder, &err))
        return;
    for (size_t i = keep; i < ids.count; i++) {
        char *path = xasprintf("%s/%s%s", folder, ids.items[i], ending);
        IGNORE(unlink(path)); /* the next prune tries again */
        xfree(path);
    }
    incident_ids_deinit(&ids);
    remove_unfinished(folder);
}
