#include "bus/store_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_MAGIC = 0x377f0682, PAGE_MAX = 65536 };

struct log {
    sqlite3_file *file;
    sqlite3_int64 size;
    bool swapped; /* sums are made of words in the machine's other order */
    uint32_t page;
    unsigned char salt[8];
    uint32_t sum[2];
    uint64_t frames, whole, commits_behind;
};

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void add_up(struct log *l, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint32_t words[2];
        memcpy(words, bytes + i, sizeof(words));
        if (l->swapped) {
            words[0] = __builtin_bswap32(words[0]);
            words[1] = __builtin_bswap32(words[1]);
        }
        l->sum[0] += words[0] + l->sum[1];
        l->sum[1] += words[1] + l->sum[0];
    }
}

static bool sum_is(const struct log *l, const unsigned char *p)
{
    return big_endian(p) == l->sum[0] && big_endian(p + 4) == l->sum[1];
}

static bool read_at(struct log *l, void *bytes, int len, uint64_t at)
{
    return l->file->pMethods->xRead(l->file, bytes, len, (sqlite3_int64)at) == SQLITE_OK;
}

static bool read_head(struct log *l)
{
    unsigned char head[LOG_HEAD];
    if (!read_at(l, head, sizeof(head), 0))
        return false;
    uint32_t magic = big_endian(head);
    bool big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    l->swapped = (magic & 1) != big;
    l->page = big_endian(head + 8);
    memcpy(l->salt, head + 16, sizeof(l->salt));
    add_up(l, head, 24);
    return (magic & ~1u) == LOG_MAGIC && l->page >= 512 && l->page <= PAGE_MAX &&
           sum_is(l, head + 24);
}

/*
 * Whether a frame is of this log, and not left from an earlier one.  A new log has the number
 * after, and another random one: when one of the two is right, the other is what was damaged.
 */
static bool is_ours(const struct log *l, const unsigned char *frame)
{
    size_t half = sizeof(l->salt) / 2;
    return memcmp(frame + 8, l->salt, half) == 0 ||
           memcmp(frame + 8 + half, l->salt + half, half) == 0;
}

/* Frames of this log; behind the first that is not whole only whole transactions are counted.
 */
static void read_frames(struct log *l)
{
    unsigned char *frame = xmalloc(LOG_FRAME_HEAD + l->page);
    uint64_t size = LOG_FRAME_HEAD + l->page;
    bool broken = false;
    for (uint64_t n = 0; LOG_HEAD + (n + 1) * size <= (uint64_t)l->size; n++) {
        if (!read_at(l, frame, (int)size, LOG_HEAD + n * size))
            break;
        bool ours = is_ours(l, frame);
        if (!broken) {
            add_up(l, frame, 8);
            add_up(l, frame + LOG_FRAME_HEAD, l->page);
            broken = memcmp(frame + 8, l->salt, sizeof(l->salt)) != 0 || !sum_is(l, frame + 16);
            l->whole += !broken;
        }
        l->frames += ours || !broken;
        if (broken && ours && big_endian(frame + 4))
            l->commits_behind++;
    }
    xfree(frame);
}

/* What SQLite will not read, for a person who wants it back. */
static void keep_copy(struct log *l, const char *path)
{
    char *copy = xasprintf("%s-wal.damaged", path);
    int fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *chunk = xmalloc(PAGE_MAX);
    for (sqlite3_int64 at = 0; fd >= 0 && at < l->size; at += PAGE_MAX) {
        int len = (int)MIN(l->size - at, PAGE_MAX);
        if (!read_at(l, chunk, len, (uint64_t)at) || write(fd, chunk, (size_t)len) != len)
            break;
    }
    xfree(chunk);
    if (fd >= 0)
        close(fd);
    xfree(copy);
}

static void judge(struct log *l, const char *path, char *sentence, size_t size)
{
    if (l->size < LOG_HEAD) {
        if (l->size)
            snprintf(sentence, size, "%s-wal has no whole beginning: it is not used", path);
        return;
    }
    if (!read_head(l)) {
        keep_copy(l, path);
        snprintf(sentence, size,
                 "the beginning of %s-wal is damaged: it is not used, and kept as "
                 "%s-wal.damaged; what was stored last may be missing",
                 path, path);
        return;
    }
    read_frames(l);
    uint64_t rest = ((uint64_t)l->size - LOG_HEAD) % (LOG_FRAME_HEAD + l->page);
    if (l->commits_behind > 1) {
        keep_copy(l, path);
        snprintf(sentence, size,
                 "%s-wal is damaged after page %llu, and %llu transactions behind it are lost: "
                 "it is kept as %s-wal.damaged",
                 path, (unsigned long long)l->whole, (unsigned long long)l->commits_behind,
                 path);
    } else if (l->frames > l->whole || rest)
        snprintf(
            sentence, size,
            "the end of %s-wal is not whole, as after a loss of power: what was being stored "
            "then is dropped",
            path);
}

void store_log_look(const char *path, sqlite3_vfs *vfs, char *sentence, size_t size)
{
    struct log l = {0};
    char *name = xasprintf("%s-wal%c%c", path, '\0', '\0');
    int exists = 0, flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READONLY;
    if (vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &exists) == SQLITE_OK && exists) {
        l.file = xcalloc(1, (size_t)vfs->szOsFile);
        if (vfs->xOpen(vfs, name, l.file, flags, &flags) == SQLITE_OK) {
            if (l.file->pMethods->xFileSize(l.file, &l.size) == SQLITE_OK)
                judge(&l, path, sentence, size);
            l.file->pMethods->xClose(l.file);
        }
        xfree(l.file);
    }
    xfree(name);
}
