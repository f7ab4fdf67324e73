#include "loop/stream_file.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum {
    FILE_TURN = 1 << 20,
    FILE_PIECE = 16 * 1024, /* what is copied to wait for room */
};

enum progress { WENT, FULL, FAILED };

static void end(struct stream_file *f, int status)
{
    f->stream->file = NULL;
    task_cancel(&f->task);
    f->end(f, status);
}

/* Reads a piece into the write buffer, as if the owner had written it. */
static enum progress copy_piece(struct stream_file *f)
{
    size_t want = (size_t)MIN(f->left, (uint64_t)FILE_PIECE);
    struct buf *out = stream_out(f->stream);
    ssize_t n = pread(f->fd, buf_reserve(out, want), want, (off_t)f->offset);
    if (n > 0) {
        out->len += (size_t)n;
        f->offset += (size_t)n;
        f->left -= (size_t)n;
        return stream_push(f->stream) ? WENT : FULL;
    }
    if (n == 0)
        end(f, UV_EOF);
    else
        stream_fail(f->stream, -errno);
    return FAILED;
}

static enum progress send_piece(struct stream_file *f, uint64_t most)
{
    int socket;
    off_t at = (off_t)f->offset;
    if (f->by_hand || uv_fileno(&f->stream->uv.handle, &socket))
        return copy_piece(f);
    ssize_t n = sendfile(socket, f->fd, &at, (size_t)MIN(f->left, most));
    if (n > 0) {
        f->offset += (size_t)n;
        f->left -= (size_t)n;
        f->stream->written += (size_t)n;
        return WENT;
    }
    if (n == 0) {
        end(f, UV_EOF);
        return FAILED;
    }
    if (errno != EAGAIN && errno != EINTR) {
        f->by_hand = errno == EINVAL || errno == ENOSYS || errno == EOVERFLOW;
        if (!f->by_hand) {
            stream_fail(f->stream, -errno);
            return FAILED;
        }
    }
    return copy_piece(f);
}

void stream_file_go_on(struct stream_file *f)
{
    uint64_t until = f->left > FILE_TURN ? f->left - FILE_TURN : 0;
    while (f->left > until) {
        enum progress progress = send_piece(f, f->left - until);
        if (progress != WENT) /* the stream says when it has, or that it never will */
            return;
    }
    if (f->left)
        loop_defer_next(f->stream->loop, &f->task);
    else
        end(f, 0);
}

static void on_turn(struct task *task)
{
    stream_file_go_on(container_of(task, struct stream_file, task));
}

void stream_send_file(struct stream *s, struct stream_file *f)
{
    assert(!s->file);
    f->stream = s;
    f->by_hand = false;
    task_init(&f->task, on_turn);
    if (s->closed)
        return;
    s->file = f;
    if (stream_queued(s) == 0)
        loop_defer(s->loop, &f->task);
}

void stream_file_cancel(struct stream_file *f)
{
    f->stream->file = NULL;
    task_cancel(&f->task);
}
