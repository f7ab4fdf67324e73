#include "client/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/rotate.h"
#include "base/buf.h"

enum {
    PIECE = 64 << 10,
    LINE_MAX_BYTES = 1 << 20, /* of a line that is none of ours */
    OPENING_MAX = 160,
    TRIES = 50, /* to see all files as they are between two rotations */
};

static const char time_key[] = "{\"time\":\"";

enum { TIME_AT = sizeof(time_key) - 1 };

/* One file.  `opening` is how it begins: files are told apart, and put in order, by that. */
struct segment {
    int fd;
    bool packed;
    ino_t inode;
    char opening[OPENING_MAX];
    size_t opening_len;
};

struct logfile {
    char *dir;
    char *name;
    struct segment *segments; /* the oldest first */
    size_t count;
    size_t at;             /* the one that is read; == count: none is left */
    struct packed *packed; /* its reader, once it is read from */
    uint64_t offset;       /* in the text of `at`: what follows `in` */
    struct buf in;
    size_t used; /* of `in` */
};

const char *logfile_time(struct slice line)
{
    bool is_record = line.len > TIME_AT + LOGFILE_TIME &&
                     memcmp(line.ptr, time_key, TIME_AT) == 0 &&
                     line.ptr[TIME_AT + LOGFILE_TIME - 1] == 'Z';
    return is_record ? line.ptr + TIME_AT : NULL;
}

/* ------------------------------------------------------------------ which files */

static size_t read_packed_opening(int fd, char *to)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct packed *reader = own < 0 ? NULL : packed_open(own);
    ssize_t n = reader ? packed_read(reader, to, OPENING_MAX) : 0;
    packed_close(reader);
    IGNORE(lseek(fd, 0, SEEK_SET) < 0); /* it is shared with the copy */
    return n > 0 ? (size_t)n : 0;
}

static void read_opening(struct segment *s)
{
    if (s->opening_len == OPENING_MAX)
        return;
    ssize_t n = s->packed ? (ssize_t)read_packed_opening(s->fd, s->opening)
                          : pread(s->fd, s->opening, OPENING_MAX, 0);
    s->opening_len = n > 0 ? (size_t)n : 0;
}

static bool segment_open(struct segment *s, const char *dir, const char *name,
                         struct rotated which)
{
    char *path = rotate_path(dir, name, which);
    struct stat st;
    *s = (struct segment){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
                          .packed = which.packed};
    xfree(path);
    if (s->fd < 0)
        return false;
    if (fstat(s->fd, &st) || !S_ISREG(st.st_mode)) {
        close(s->fd);
        return false;
    }
    s->inode = st.st_ino;
    read_opening(s);
    return true;
}

static void segments_free(struct segment *segments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(segments[i].fd);
    xfree(segments);
}

/* The inode of NAME.log; 0: it is not there. */
static ino_t current_inode(const char *dir, const char *name)
{
    char *path = rotate_path(dir, name, (struct rotated){0});
    struct stat st;
    ino_t inode = stat(path, &st) ? 0 : st.st_ino;
    xfree(path);
    return inode;
}

/* A folder that changes while it is listed may show a file that moves twice, or not at all. */
static bool is_still(const char *dir, const char *name, const struct rotated *files,
                     size_t count)
{
    struct rotated *again;
    bool same = rotate_list(dir, name, &again) == count;
    for (size_t i = 0; same && i < count; i++)
        same = again[i].number == files[i].number && again[i].packed == files[i].packed;
    xfree(again);
    return same;
}

/* False when the files have moved meanwhile, and the row may have a gap. */
static bool open_once(const char *dir, const char *name, struct segment **found, size_t *count)
{
    struct rotated *files;
    ino_t before = current_inode(dir, name);
    size_t listed = rotate_list(dir, name, &files), opened = 0;
    struct segment *segments = xcalloc(listed + 1, sizeof(*segments));
    while (opened < listed &&
           segment_open(&segments[listed - 1 - opened], dir, name, files[opened]))
        opened++;
    memmove(segments, segments + (listed - opened), opened * sizeof(*segments));
    bool whole = opened == listed && before == current_inode(dir, name) &&
                 is_still(dir, name, files, listed);
    xfree(files);
    *found = segments;
    *count = opened;
    return whole;
}

static size_t open_all(const char *dir, const char *name, struct segment **found)
{
    size_t count;
    for (int tries = TRIES; !open_once(dir, name, found, &count) && --tries > 0;)
        segments_free(*found, count);
    return count;
}

/* ---------------------------------------------------------------------- reading */

static void go_to(struct logfile *l, size_t at, uint64_t offset)
{
    packed_close(l->packed);
    l->packed = NULL;
    buf_clear(&l->in);
    l->used = 0;
    l->at = at;
    l->offset = offset;
}

/* Passes over what stands in front of where it shall be read. */
static struct packed *open_packed(const struct segment *s, uint64_t offset)
{
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    struct packed *reader = NULL;
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
        reader = packed_open(fd);
    char *piece = xmalloc(PIECE);
    while (reader && offset > 0) {
        ssize_t n = packed_read(reader, piece, MIN(offset, (uint64_t)PIECE));
        if (n <= 0)
            break;
        offset -= (uint64_t)n;
    }
    xfree(piece);
    return reader;
}

/* The number of bytes that were added to `in`; 0 at the end. */
static size_t read_more(struct logfile *l)
{
    const struct segment *s = &l->segments[l->at];
    ssize_t n;
    buf_consume(&l->in, l->used);
    l->used = 0;
    char *to = buf_reserve(&l->in, PIECE);
    if (s->packed && !l->packed)
        l->packed = open_packed(s, l->offset);
    if (s->packed)
        n = l->packed ? packed_read(l->packed, to, PIECE) : 0;
    else
        n = pread(s->fd, to, PIECE, (off_t)l->offset);
    if (n <= 0)
        return 0;
    l->in.len += (size_t)n;
    l->offset += (uint64_t)n;
    return (size_t)n;
}

/* A line in `in`, which is the rest of it when the file says no more. */
static bool take_line(struct logfile *l, bool at_end, struct slice *line)
{
    struct slice rest = slice_from(buf_slice(&l->in), l->used);
    const char *lf = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
    if (!lf && rest.len < LINE_MAX_BYTES && !(at_end && rest.len))
        return false;
    line->ptr = rest.ptr;
    line->len = lf ? (size_t)(lf - rest.ptr) : rest.len;
    l->used += line->len + (lf != NULL);
    return true;
}

bool logfile_next(struct logfile *l, struct slice *line)
{
    while (l->at < l->count) {
        if (take_line(l, false, line))
            return true;
        if (read_more(l))
            continue;
        if (l->at + 1 == l->count)
            return false; /* it may go on */
        if (take_line(l, true, line))
            return true;
        go_to(l, l->at + 1, 0);
    }
    return false;
}

/* --------------------------------------------------------------------- following */

static bool is_newer(const struct segment *a, const struct segment *b)
{
    int order = memcmp(a->opening, b->opening, MIN(a->opening_len, b->opening_len));
    return order > 0 || (order == 0 && a->opening_len > b->opening_len);
}

/*
 * The file that was read has been put aside, or somebody has removed it.  What is newer
 * follows it: NAME.log in any case, because the clock may have been set back.
 */
static void append_newer(struct logfile *l)
{
    struct segment *all, last = {.fd = -1};
    size_t count = open_all(l->dir, l->name, &all);
    ino_t current = current_inode(l->dir, l->name);
    if (l->count) {
        last = l->segments[l->count - 1];
        read_opening(&last);
    }
    for (size_t i = 0; i < count; i++) {
        struct segment *s = &all[i];
        bool same = l->count && !s->packed && s->inode == last.inode;
        bool wanted = !same && (!l->count || is_newer(s, &last) ||
                                (!s->packed && current && s->inode == current));
        if (!wanted) {
            close(s->fd);
            continue;
        }
        l->segments = xrealloc(l->segments, (l->count + 1) * sizeof(*l->segments));
        l->segments[l->count++] = *s;
    }
    xfree(all);
}

/* Those that have been read to their end. */
static void drop_old(struct logfile *l)
{
    for (size_t i = 0; i < l->at; i++)
        close(l->segments[i].fd);
    memmove(l->segments, l->segments + l->at, (l->count - l->at) * sizeof(*l->segments));
    l->count -= l->at;
    l->at = 0;
}

void logfile_refresh(struct logfile *l)
{
    struct stat st;
    ino_t current = current_inode(l->dir, l->name);
    if (l->count && l->at + 1 == l->count) {
        const struct segment *last = &l->segments[l->at];
        if (last->inode == current) {
            if (fstat(last->fd, &st) == 0 && !last->packed && (uint64_t)st.st_size < l->offset)
                go_to(l, l->at, 0); /* it was emptied */
            return;
        }
    }
    if (l->at < l->count && l->at + 1 < l->count)
        return; /* others are still to be read */
    drop_old(l);
    append_newer(l);
}

/* ----------------------------------------------------------------------- seeking */

/* How the text of a segment is gone through backwards: false stops. */
typedef bool (*back_fn)(void *arg, struct slice line, uint64_t at);

/* A plain file from its end, down to `from`.  False when it was stopped. */
static bool each_line_back(const struct segment *s, uint64_t from, back_fn visit, void *arg)
{
    struct buf window = {0}; /* the file from `begin` on, as far as it was not visited */
    struct stat st;
    uint64_t begin = fstat(s->fd, &st) ? from : (uint64_t)st.st_size;
    bool go_on = true, ended = false;
    while (go_on && begin > from) {
        size_t step = (size_t)MIN(begin - from, (uint64_t)PIECE);
        buf_reserve(&window, step);
        memmove(window.ptr + step, window.ptr, window.len);
        if (pread(s->fd, window.ptr, step, (off_t)(begin - step)) != (ssize_t)step)
            break;
        window.len += step;
        begin -= step;
        const char *lf;
        while (go_on && (lf = memrchr(window.ptr, '\n', window.len - (ended && window.len)))) {
            size_t start = (size_t)(lf + 1 - window.ptr);
            if (ended) /* else it is the end of the last whole line */
                go_on =
                    visit(arg, (struct slice){lf + 1, window.len - 1 - start}, begin + start);
            ended = true;
            window.len = start;
        }
    }
    if (go_on && begin == from && ended && window.len)
        go_on = visit(arg, (struct slice){window.ptr, window.len - 1}, from);
    buf_deinit(&window);
    return go_on;
}

struct last_search {
    bool (*match)(void *arg, struct slice line);
    void *arg;
    size_t left; /* matches that are still wanted */
    uint64_t offset;
};

static bool count_back(void *arg, struct slice line, uint64_t at)
{
    struct last_search *search = arg;
    if (search->match && !search->match(search->arg, line))
        return true;
    search->offset = at;
    return --search->left > 0;
}

/*
 * A packed file can only be read forwards: the offsets of its newest matches are kept in a
 * ring.  Leaves the file standing anywhere.
 */
static bool search_packed(struct logfile *l, size_t at, uint64_t from,
                          struct last_search *search)
{
    uint64_t *ring = xcalloc(search->left, sizeof(*ring));
    size_t found = 0;
    struct slice line;
    go_to(l, at, from);
    for (;;) {
        uint64_t start = l->offset - (l->in.len - l->used);
        if (!take_line(l, false, &line)) {
            if (read_more(l))
                continue;
            if (!take_line(l, true, &line))
                break;
        }
        if (!search->match || search->match(search->arg, line))
            ring[found++ % search->left] = start;
    }
    bool enough = found >= search->left;
    search->offset = enough ? ring[found % search->left] : from;
    search->left -= enough ? search->left : found;
    xfree(ring);
    return !enough;
}

static void go_to_end(struct logfile *l)
{
    struct slice line;
    struct stat st;
    if (!l->count)
        return;
    const struct segment *last = &l->segments[l->count - 1];
    bool sized = !last->packed && fstat(last->fd, &st) == 0;
    go_to(l, l->count - 1, sized ? (uint64_t)st.st_size : 0);
    while (!sized && logfile_next(l, &line))
        ;
}

void logfile_last(struct logfile *l, size_t count, bool (*match)(void *arg, struct slice line),
                  void *arg)
{
    struct last_search search = {.match = match, .arg = arg, .left = count};
    size_t first = l->at;
    uint64_t first_offset = l->offset - (l->in.len - l->used);
    if (count == 0) {
        go_to_end(l);
        return;
    }
    for (size_t i = l->count; i-- > first;) {
        uint64_t from = i == first ? first_offset : 0;
        bool go_on = l->segments[i].packed
                         ? search_packed(l, i, from, &search)
                         : each_line_back(&l->segments[i], from, count_back, &search);
        if (!go_on) {
            go_to(l, i, search.offset);
            return;
        }
    }
    go_to(l, first, first_offset);
}

static bool is_before(struct slice line, const char *time)
{
    const char *own = logfile_time(line);
    return own && memcmp(own, time, LOGFILE_TIME) < 0;
}

/* Where the first line behind `offset` begins, and whether it is before the time. */
static bool probe(const struct segment *s, uint64_t *offset, const char *time)
{
    char *piece = xmalloc(PIECE);
    ssize_t n = pread(s->fd, piece, PIECE, (off_t)*offset);
    const char *lf = n > 0 ? memchr(piece, '\n', (size_t)n) : NULL;
    bool before = false;
    if (lf) {
        *offset += (uint64_t)(lf + 1 - piece);
        before = is_before((struct slice){lf + 1, (size_t)(piece + n - (lf + 1))}, time);
    }
    xfree(piece);
    return before;
}

void logfile_since(struct logfile *l, const char *time)
{
    struct stat st;
    size_t at = l->count;
    while (at > 1 && !is_before((struct slice){l->segments[at - 1].opening,
                                               l->segments[at - 1].opening_len},
                                time))
        at--;
    if (at == 0)
        return;
    const struct segment *s = &l->segments[at - 1];
    uint64_t low = 0, high = s->packed || fstat(s->fd, &st) ? 0 : (uint64_t)st.st_size;
    while (high > low && high - low > PIECE) {
        uint64_t middle = low + (high - low) / 2, line = middle;
        if (probe(s, &line, time))
            low = line;
        else
            high = middle;
    }
    go_to(l, at - 1, low);
}

/* --------------------------------------------------------------------- its life */

struct logfile *logfile_open(const char *dir, const char *name)
{
    struct logfile *l = xcalloc(1, sizeof(*l));
    l->dir = xstrdup(dir);
    l->name = xstrdup(name);
    l->count = open_all(dir, name, &l->segments);
    return l;
}

void logfile_close(struct logfile *l)
{
    if (!l)
        return;
    go_to(l, 0, 0);
    buf_deinit(&l->in);
    segments_free(l->segments, l->count);
    xfree(l->dir);
    xfree(l->name);
    xfree(l);
}
