/*
 * stream_file: a part of a file, sent from the kernel's own memory.
 *
 * sendfile(2) while the socket takes bytes, at most FILE_TURN of them in one turn of the
 * loop, so that one fast reader leaves time for all others.  When the socket is full, a
 * small piece is read and queued like any other bytes: that it has left says that there
 * is room again.
 */
#pragma once

#include "loop/stream.h"

/* Lives in its owner's memory until `end` is called or the stream is closed. */
struct stream_file {
    int fd; /* a regular file; stays its owner's, and open as long as this lives */
    uint64_t offset;
    uint64_t left;
    /* All has been handed to the kernel (0), or the file is shorter (UV_EOF).  When the
     * connection or reading fails, the stream's `ended` is called instead. */
    void (*end)(struct stream_file *, int status);

    struct stream *stream;
    struct task task;
    bool by_hand; /* this file cannot be sent by sendfile() */
};

/*
 * Begins, behind all that was written.  fd, offset, left and end are set.  One at a time;
 * until `end` nothing else may be written.  `end` is never called from within.
 */
void stream_send_file(struct stream *, struct stream_file *);

/* --------------------------------------------------- between it and its stream */

void stream_file_go_on(struct stream_file *);
void stream_file_cancel(struct stream_file *);

/* Ends the stream by an error: `ended` is told from the loop. */
void stream_fail(struct stream *, int status);

/* Hands what was written to the kernel now; true when it has taken all. */
bool stream_push(struct stream *);

/* The write queue is empty: whoever waits for that goes on. */
void stream_emptied(struct stream *);
