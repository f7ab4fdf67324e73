#include "loop/stream.h"

#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "loop/stream_file.h"

enum { PIPE_KEEP = 65536 }; /* a pipe's write buffer up to this size is kept for reuse */

/* One allocation for the request and its bytes: they must live until libuv is done. */
struct write_req {
    uv_write_t req;
    struct stream *stream;
    struct loan loan; /* behind the bytes */
    size_t len;       /* of both */
    char bytes[];
};

/* It ended by more than the other side's having said all. */
static bool failed(const struct stream *s)
{
    return s->ended && s->status != UV_EOF;
}

static void stop_reading(struct stream *s)
{
    if (!s->reading)
        return;
    s->reading = false;
    uv_read_stop(&s->uv.stream);
}

void stream_fail(struct stream *s, int status)
{
    if (s->closed || failed(s) || (s->ended && status == UV_EOF))
        return;
    s->ended = true;
    s->status = status;
    stop_reading(s);
    loop_defer(s->loop, &s->fail);
}

static void on_fail(struct task *task)
{
    struct stream *s = container_of(task, struct stream, fail);
    if (!s->closed)
        s->ops->ended(s, s->status);
}

/* Pipes are few and busy and keep their buffer; of connections thousands may idle. */
static void relax(struct stream *s)
{
    buf_clear(&s->out);
    if (!s->is_pipe || s->out.cap > PIPE_KEEP)
        buf_deinit(&s->out);
}

/* Offers the kept bytes; the owner may close the stream meanwhile. */
static void offer_kept(struct stream *s)
{
    size_t used = s->ops->data(s, buf_slice(&s->in));
    if (s->closed)
        return;
    assert(used <= s->in.len);
    buf_consume(&s->in, used);
    if (s->in.len == 0)
        buf_deinit(&s->in);
    else if (s->in.len >= s->in_limit)
        stop_reading(s);
}

static void offer(struct stream *s, struct slice bytes)
{
    if (s->in.len) {
        buf_add(&s->in, bytes);
        offer_kept(s);
        return;
    }
    size_t used = s->ops->data(s, bytes);
    if (s->closed)
        return;
    assert(used <= bytes.len);
    if (used < bytes.len)
        buf_add(&s->in, slice_from(bytes, used));
    if (s->in.len >= s->in_limit)
        stop_reading(s);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct loop *loop = container_of(handle->loop, struct loop, uv);
    (void)suggested;
    *out = uv_buf_init(loop->scratch, sizeof(loop->scratch));
}

/*
 * libuv takes a reset that comes right behind the last bytes for an end of file; only the
 * socket still knows better.
 */
static int true_end(const struct stream *s)
{
    int fd, error = 0;
    socklen_t len = sizeof(error);
    if (s->uv.handle.type == UV_TCP && uv_fileno(&s->uv.handle, &fd) == 0)
        IGNORE(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)); /* then it is an end */
    return error ? uv_translate_sys_error(error) : UV_EOF;
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf)
{
    struct stream *s = container_of(handle, struct stream, uv.stream);
    if (nread == UV_EOF)
        nread = true_end(s);
    if (nread < 0)
        stream_fail(s, (int)nread);
    else if (nread > 0)
        offer(s, (struct slice){buf->base, (size_t)nread});
}

static void read_on(struct stream *s)
{
    if (s->reading || s->paused || s->ended || s->closed)
        return;
    int rc = uv_read_start(&s->uv.stream, on_alloc, on_read);
    s->reading = rc == 0;
    if (rc)
        stream_fail(s, rc);
}

static void on_poke(struct task *task)
{
    struct stream *s = container_of(task, struct stream, poke);
    if (s->in.len)
        offer_kept(s);
    if (!s->closed && s->in.len < s->in_limit)
        read_on(s);
}

static void on_gone(struct life *life)
{
    struct stream *s = container_of(life, struct stream, life);
    buf_deinit(&s->in);
    buf_deinit(&s->out);
    s->ops->gone(s);
}

static void prepare(struct stream *s, struct loop *loop, const struct stream_ops *ops)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->ops = ops;
    s->in_limit = SIZE_MAX;
    list_init(&s->dirty);
    task_init(&s->poke, on_poke);
    task_init(&s->fail, on_fail);
    life_init(&s->life, on_gone);
}

int stream_open_pipe(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops)
{
    prepare(s, loop, ops);
    int rc = uv_pipe_init(&loop->uv, &s->uv.pipe, 0);
    if (rc)
        return rc;
    life_adopt(&s->life, &s->uv.handle);
    s->is_pipe = true;
    return uv_pipe_open(&s->uv.pipe, fd);
}

int stream_init_tcp(struct stream *s, struct loop *loop, const struct stream_ops *ops)
{
    prepare(s, loop, ops);
    int rc = uv_tcp_init(&loop->uv, &s->uv.tcp);
    if (rc == 0)
        life_adopt(&s->life, &s->uv.handle);
    return rc;
}

int stream_init_unix(struct stream *s, struct loop *loop, const struct stream_ops *ops)
{
    prepare(s, loop, ops);
    int rc = uv_pipe_init(&loop->uv, &s->uv.pipe, 0);
    if (rc == 0)
        life_adopt(&s->life, &s->uv.handle);
    return rc;
}

void stream_start(struct stream *s, size_t in_limit)
{
    s->in_limit = in_limit;
    stream_resume(s);
}

void stream_pause(struct stream *s)
{
    s->paused = true;
    stop_reading(s);
}

void stream_resume(struct stream *s)
{
    s->paused = false;
    read_on(s);
}

void stream_poke(struct stream *s)
{
    if (s->closed)
        return;
    s->paused = false;
    loop_defer(s->loop, &s->poke);
}

/*
 * Pipes are flushed first: the worker at their other end wakes and works while the
 * answers of this turn go out to their clients.
 */
struct buf *stream_out(struct stream *s)
{
    if (!list_empty(&s->dirty) || s->closed)
        return &s->out;
    if (s->is_pipe)
        list_push(&s->loop->dirty, &s->dirty);
    else
        list_add(&s->loop->dirty, &s->dirty);
    return &s->out;
}

size_t stream_queued(const struct stream *s)
{
    return s->queued + s->out.len;
}

void stream_close(struct stream *s)
{
    if (s->closed)
        return;
    s->closed = true;
    s->reading = false;
    list_del(&s->dirty);
    task_cancel(&s->poke);
    task_cancel(&s->fail);
    if (s->file)
        stream_file_cancel(s->file);
    life_close(&s->uv.handle);
    life_drop(&s->life);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    struct life *life = req->data;
    (void)status; /* the other side is gone already: reading will say so */
    xfree(req);
    life_drop(life);
}

/* A pipe's write end is ended by closing it: shutdown(2) is for sockets. */
static void shut_now(struct stream *s)
{
    if (s->is_pipe) {
        stream_close(s);
        return;
    }
    uv_shutdown_t *req = xmalloc(sizeof(*req));
    req->data = &s->life;
    life_hold(&s->life);
    if (uv_shutdown(req, &s->uv.stream, on_shut)) {
        xfree(req);
        life_drop(&s->life);
    }
}

void stream_emptied(struct stream *s)
{
    if (s->file)
        stream_file_go_on(s->file);
    else if (s->shut)
        shut_now(s);
    else if (s->ops->drained)
        s->ops->drained(s);
}

static void end_loan(const struct loan *loan)
{
    if (loan->end)
        loan->end(loan->owner);
}

static void on_written(uv_write_t *req, int status)
{
    struct write_req *write = container_of(req, struct write_req, req);
    struct stream *s = write->stream;
    end_loan(&write->loan);
    s->queued -= write->len;
    if (status == 0)
        s->written += write->len;
    xfree(write);
    if (s->closed)
        goto drop;
    if (status)
        stream_fail(s, status);
    else if (stream_queued(s) == 0 && !failed(s))
        stream_emptied(s);
    else if (s->ops->eased && !failed(s))
        s->ops->eased(s);
drop:
    life_drop(&s->life);
}

/* What the kernel did not take at once is copied into a request of its own, but for a loan. */
static void queue_rest(struct stream *s, const struct loan *loan, size_t from)
{
    size_t own = s->out.len > from ? s->out.len - from : 0;
    size_t lent = MIN(loan->bytes.len, s->out.len + loan->bytes.len - from);
    struct write_req *write = xmalloc(sizeof(*write) + own);
    write->stream = s;
    write->loan = *loan;
    write->len = own + lent;
    if (own)
        memcpy(write->bytes, s->out.ptr + from, own);
    struct slice rest = slice_from(loan->bytes, loan->bytes.len - lent);
    uv_buf_t chunks[] = {
        uv_buf_init(write->bytes, (unsigned)own),
        uv_buf_init((char *)rest.ptr, (unsigned)lent),
    };
    int rc = uv_write(&write->req, &s->uv.stream, chunks, lent ? 2 : 1, on_written);
    if (rc) {
        end_loan(loan);
        xfree(write);
        stream_fail(s, rc);
        return;
    }
    s->queued += own + lent;
    life_hold(&s->life);
}

/* False when the connection has failed. */
static bool send_all(struct stream *s, const struct loan *loan)
{
    size_t sent = 0;
    size_t all = s->out.len + loan->bytes.len;
    if (s->queued == 0) {
        uv_buf_t chunks[] = {
            uv_buf_init(s->out.ptr, (unsigned)s->out.len),
            uv_buf_init((char *)loan->bytes.ptr, (unsigned)loan->bytes.len),
        };
        int rc = uv_try_write(&s->uv.stream, chunks, loan->bytes.len ? 2 : 1);
        if (rc < 0 && rc != UV_EAGAIN) {
            end_loan(loan);
            buf_clear(&s->out);
            stream_fail(s, rc);
            return false;
        }
        sent = rc > 0 ? (size_t)rc : 0;
        s->written += sent;
    }
    if (sent < all)
        queue_rest(s, loan, sent);
    else
        end_loan(loan);
    relax(s);
    return true;
}

bool stream_push(struct stream *s)
{
    list_del(&s->dirty);
    return send_all(s, &(struct loan){0}) && s->queued == 0 && !failed(s);
}

/* The loop calls this once a turn for every stream that was written to. */
void stream_flush(struct stream *s)
{
    if (!s->closed && s->out.len && stream_push(s))
        stream_emptied(s);
}

void stream_lend(struct stream *s, const struct loan *loan)
{
    if (s->closed || failed(s) || !loan->bytes.len)
        end_loan(loan);
    else
        IGNORE(!send_all(s, loan)); /* `ended` is told */
}

uint64_t stream_taken(const struct stream *s)
{
    return s->written + s->queued - uv_stream_get_write_queue_size(&s->uv.stream);
}

size_t stream_unsent(const struct stream *s)
{
    return s->out.len + (s->queued ? uv_stream_get_write_queue_size(&s->uv.stream) : 0);
}

uint64_t stream_arrived(const struct stream *s)
{
    int fd, waiting = 0;
    if (uv_fileno(&s->uv.handle, &fd) || ioctl(fd, SIOCOUTQ, &waiting) || waiting < 0)
        waiting = 0; /* no socket: what the kernel has is with the other side */
    return stream_taken(s) - (uint64_t)waiting;
}

void stream_limit_unsent(struct stream *s, unsigned bytes)
{
    int fd;
    if (s->uv.handle.type == UV_TCP && uv_fileno(&s->uv.handle, &fd) == 0)
        IGNORE(setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
                          sizeof(bytes))); /* then it keeps more */
}

void stream_shutdown(struct stream *s)
{
    if (s->shut || s->closed)
        return;
    s->shut = true;
    if (stream_queued(s) == 0 && !s->file)
        shut_now(s);
}

void stream_reset(struct stream *s)
{
    int fd;
    if (!s->closed && s->uv.handle.type == UV_TCP && uv_fileno(&s->uv.handle, &fd) == 0) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        IGNORE(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once,
                          sizeof(at_once))); /* then it lingers */
    }
    stream_close(s);
}

void stream_peer(const struct stream *s, char *text, size_t size)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    text[0] = '\0';
    if (s->uv.handle.type != UV_TCP ||
        uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&addr, &len))
        return;
    IGNORE(uv_ip_name((struct sockaddr *)&addr, text, size)); /* stays "" */
}
