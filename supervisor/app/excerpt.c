#include "app/excerpt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Never waits: what is no regular file (a pipe, say) is not read. */
static bool read_file(const char *path, struct buf *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? 1 : -1;
    while (n > 0 && out->len < EXCERPT_FILE_MAX) {
        size_t room = EXCERPT_FILE_MAX - out->len;
        n = read(fd, buf_reserve(out, room), room);
        out->len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return n >= 0;
}

static void take_lines(struct slice text, unsigned line, struct excerpt *e)
{
    unsigned first = line > EXCERPT_BEFORE ? line - EXCERPT_BEFORE : 1, number = 0;
    e->first = first;
    while (text.len && number < line + EXCERPT_AFTER) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        struct slice one = {text.ptr, lf ? (size_t)(lf - text.ptr) : text.len};
        text = slice_from(text, MIN(one.len + 1, text.len));
        if (++number < first)
            continue;
        if (one.len && one.ptr[one.len - 1] == '\r')
            one.len--;
        one.len = MIN(one.len, (size_t)EXCERPT_LINE_MAX);
        buf_add(&e->text, one);
        buf_addc(&e->text, '\n');
    }
    if (number < line)
        excerpt_deinit(e);
}

bool excerpt_read(const char *path, unsigned line, struct excerpt *e)
{
    struct buf file = {0};
    *e = (struct excerpt){0};
    if (line > 0 && read_file(path, &file))
        take_lines(buf_slice(&file), line, e);
    buf_deinit(&file);
    return e->text.len > 0;
}

void excerpt_deinit(struct excerpt *e)
{
    buf_deinit(&e->text);
}
