#include "app/rotate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { NUMBER_MAX = 100000, PIECE = 64 * 1024, PACK_LEVEL = 6 };

static const char ending[] = ".log", packed_ending[] = ".gz", unfinished[] = ".gz.part";

char *rotate_path(const char *dir, const char *name, struct rotated which)
{
    if (which.number == 0)
        return xasprintf("%s/%s%s", dir, name, ending);
    return xasprintf("%s/%s%s.%u%s", dir, name, ending, which.number,
                     which.packed ? packed_ending : "");
}

static bool cut_ending(struct slice *text, const char *end)
{
    size_t len = strlen(end);
    if (text->len <= len || memcmp(text->ptr + text->len - len, end, len) != 0)
        return false;
    text->len -= len;
    return true;
}

bool rotate_parse(const char *file, struct slice *name, struct rotated *which)
{
    struct slice text = slice_of(file);
    struct rotated found = {.packed = cut_ending(&text, packed_ending)};
    const char *dot = memrchr(text.ptr, '.', text.len);
    uint64_t number;
    if (!dot)
        return false;
    if (slice_to_u64(slice_from(text, (size_t)(dot + 1 - text.ptr)), NUMBER_MAX, &number)) {
        text.len = (size_t)(dot - text.ptr);
        found.number = (unsigned)number;
    }
    if ((found.packed && !found.number) || !cut_ending(&text, ending))
        return false;
    *name = text;
    *which = found;
    return true;
}

/* By number; of the same number the one that is not packed comes first. */
static int by_age(const void *a, const void *b)
{
    const struct rotated *one = a, *two = b;
    if (one->number != two->number)
        return one->number < two->number ? -1 : 1;
    return one->packed - two->packed;
}

size_t rotate_list(const char *dir, const char *name, struct rotated **found)
{
    struct rotated *list = NULL, which;
    struct slice whose;
    size_t count = 0, kept = 0;
    DIR *folder = opendir(dir);
    for (struct dirent *at; folder && (at = readdir(folder));) {
        if (!rotate_parse(at->d_name, &whose, &which) || !slice_is(whose, name))
            continue;
        list = xrealloc(list, (count + 1) * sizeof(*list));
        list[count++] = which;
    }
    if (folder)
        closedir(folder);
    if (count)
        qsort(list, count, sizeof(*list), by_age);
    for (size_t i = 0; i < count; i++)
        if (!kept || list[kept - 1].number != list[i].number)
            list[kept++] = list[i];
    *found = list;
    return kept;
}

static int move(const char *dir, const char *name, struct rotated which)
{
    struct rotated next = {which.number + 1, which.packed};
    char *from = rotate_path(dir, name, which), *to = rotate_path(dir, name, next);
    int rc = rename(from, to) ? errno : 0;
    xfree(from);
    xfree(to);
    return rc == ENOENT ? 0 : rc;
}

static int drop(const char *dir, const char *name, struct rotated which)
{
    char *path = rotate_path(dir, name, which);
    int rc = unlink(path) ? errno : 0;
    xfree(path);
    return rc == ENOENT ? 0 : rc;
}

int rotate_shift(const char *dir, const char *name, unsigned keep)
{
    struct rotated *files;
    size_t count = rotate_list(dir, name, &files);
    int rc = 0;
    while (rc == 0 && count > 0) {
        struct rotated which = files[--count];
        if (which.number && !which.packed) /* nor what a packing cut short has left */
            rc = drop(dir, name, (struct rotated){which.number, true});
        if (rc == 0)
            rc = which.number + 1 >= keep ? drop(dir, name, which) : move(dir, name, which);
    }
    xfree(files);
    return rc;
}

/* Of what is in `from`; 0 or an errno. */
static int pack_into(int from, gzFile to, const atomic_bool *stop)
{
    char *piece = xmalloc(PIECE);
    int rc = 0;
    ssize_t n;
    while (rc == 0 && (n = read(from, piece, PIECE)) != 0) {
        if (n < 0)
            rc = errno;
        else if (atomic_load(stop))
            rc = ECANCELED;
        else if (gzwrite(to, piece, (unsigned)n) != n)
            rc = errno ? errno : EIO;
    }
    xfree(piece);
    return rc;
}

static int pack(int from, const char *part, const atomic_bool *stop)
{
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    gzFile to = fd < 0 ? NULL : gzdopen(fd, "wb");
    if (!to) {
        int rc = errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    gzsetparams(to, PACK_LEVEL, Z_DEFAULT_STRATEGY);
    errno = 0;
    int rc = pack_into(from, to, stop);
    errno = 0;
    int ended = gzclose(to);
    if (rc == 0 && ended != Z_OK)
        rc = errno ? errno : EIO;
    return rc;
}

int rotate_pack(const char *dir, const char *name, const atomic_bool *stop)
{
    char *from = rotate_path(dir, name, (struct rotated){1, false});
    char *to = rotate_path(dir, name, (struct rotated){1, true});
    char *part = xasprintf("%s%s", from, unfinished);
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = fd < 0 ? errno : 0;
    if (rc == 0) {
        rc = pack(fd, part, stop);
        if (rc == 0 && rename(part, to))
            rc = errno;
        IGNORE(rc == 0 ? unlink(from) : unlink(part)); /* then it is there twice, or half */
        close(fd);
    }
    xfree(from);
    xfree(to);
    xfree(part);
    return rc == ENOENT ? 0 : rc;
}

struct packed *packed_open(int fd)
{
    gzFile file = gzdopen(fd, "rb");
    if (!file)
        close(fd);
    return (struct packed *)file;
}

void packed_close(struct packed *p)
{
    if (p)
        gzclose((gzFile)p);
}

ssize_t packed_read(struct packed *p, void *to, size_t max)
{
    return gzread((gzFile)p, to, (unsigned)MIN(max, (size_t)PIECE));
}
