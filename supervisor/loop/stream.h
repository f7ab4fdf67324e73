/*
 * stream: bytes in and out of a pipe, a TCP connection or a unix socket.
 *
 * Reading: the owner's `data` is offered what has arrived and returns how many
 * bytes it used up; the rest is kept and offered again in front of what follows.
 * When `in_limit` bytes are kept the stream stops reading until the owner asks for
 * them with stream_poke().  An idle stream holds no read buffer.
 *
 * Writing: stream_write() copies; all that a turn wrote leaves in one system call
 * at its end.  Nothing is ever blocked on: what the kernel does not take is queued,
 * and the owner watches stream_queued() against its own high mark.
 *
 * Ending: `ended` is called from the loop and never from within a call of the owner:
 * end of file (UV_EOF), or a read or write that failed.  The stream still may be
 * written to after UV_EOF; should that fail, `ended` comes once more and says why.
 * stream_close() stops everything; after it only `gone` is called, and only then may
 * the memory be freed.
 */
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "loop/life.h"
#include "loop/loop.h"

struct stream;
struct stream_file;

struct stream_ops {
    size_t (*data)(struct stream *, struct slice bytes);
    void (*ended)(struct stream *, int status);
    void (*drained)(struct stream *); /* optional: the write queue has become empty */
    void (*gone)(struct stream *);
    void (*eased)(struct stream *); /* optional: a part of the write queue has left */
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } uv;
    struct life life;
    struct loop *loop;
    const struct stream_ops *ops;
    struct buf in;            /* kept: offered and not used up */
    struct buf out;           /* written in this turn */
    struct list dirty;        /* in loop->dirty while `out` waits for the flush */
    struct task poke;         /* offers `in` again */
    struct task fail;         /* reports `status` */
    struct stream_file *file; /* sent when all that was written is; see stream_file.h */
    size_t in_limit;          /* keep at most this much, then stop reading */
    size_t queued;            /* handed to libuv and not yet written */
    uint64_t written;         /* bytes of finished writes, all time */
    int status;               /* why `ended` is to be called */
    bool reading;
    bool paused; /* by the owner */
    bool ended;
    bool is_pipe; /* over a pipe's end, one way */
    bool shut;    /* the write side is to be shut once the queue is empty */
    bool closed;
};

/* Over a descriptor that the stream owns from now on.  0 or a libuv code. */
int stream_open_pipe(struct stream *, struct loop *, int fd,
                     const struct stream_ops *) MUST_CHECK;

/* Not connected yet: for listener_accept().  0 or a libuv code. */
int stream_init_tcp(struct stream *, struct loop *, const struct stream_ops *) MUST_CHECK;
int stream_init_unix(struct stream *, struct loop *, const struct stream_ops *) MUST_CHECK;

/* Begins reading.  Until then nothing arrives.  Failure comes as `ended`. */
void stream_start(struct stream *, size_t in_limit);

/* Stops and resumes reading (back-pressure).  stream_poke() resumes, too. */
void stream_pause(struct stream *);
void stream_resume(struct stream *);

/* Offers the kept bytes again at the end of this turn, and reads on. */
void stream_poke(struct stream *);

/* Where to write: append to the buf, at once; it is flushed at the end of the turn. */
struct buf *stream_out(struct stream *);

static inline void stream_write(struct stream *s, struct slice bytes)
{
    buf_add(stream_out(s), bytes);
}

/* Bytes that are sent from where they lie, and who is told when they are needed no more. */
struct loan {
    struct slice bytes;
    void (*end)(void *owner);
    void *owner;
};

/*
 * Writes without a copy, at once and behind all that was written before.  `end` is
 * called once, maybe from within: the kernel has the bytes, or will never get them.
 * `drained` only comes after it when something had to be queued.
 */
void stream_lend(struct stream *, const struct loan *);

/* Bytes written that the kernel has not taken yet. */
size_t stream_queued(const struct stream *);

/* Bytes ever written, queued ones included: where the next write will begin. */
static inline uint64_t stream_position(const struct stream *s)
{
    return s->written + s->queued + s->out.len;
}

/* Bytes that the kernel has taken, those of a write that is still under way included. */
uint64_t stream_taken(const struct stream *);

/* Bytes written that are still in this process; stream_queued() counts a write until all of
 * it has left. */
size_t stream_unsent(const struct stream *);

/*
 * Bytes that the other side's kernel has taken, about: it moves when its program reads,
 * also while a socket's buffer here is full.
 */
uint64_t stream_arrived(const struct stream *);

/* The kernel keeps little more than `bytes` that it cannot send yet (TCP only). */
void stream_limit_unsent(struct stream *, unsigned bytes);

/* Writes out what is queued, then ends the write side (FIN, or closes a pipe). */
void stream_shutdown(struct stream *);

/* At once; what is queued is lost.  Safe to call twice. */
void stream_close(struct stream *);

/* The other end's address as text, "" when it has none. */
void stream_peer(const struct stream *, char *text, size_t size);

/*
 * Hands what was written to the kernel.  The loop does so at its turn's end; sooner it is
 * for who measures, and writes once a turn anyway.
 */
void stream_flush(struct stream *);

/* A TCP close that sends RST instead of lingering. */
void stream_reset(struct stream *);
