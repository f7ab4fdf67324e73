/*
 * sink: lines to a descriptor that other processes share, without ever blocking.
 *
 * Setting O_NONBLOCK on our stdout or stderr would set it for everybody who shares
 * them, so the sink asks poll(2) first and writes no more at a time than a pipe
 * then is sure to take.  What a reader does not take is kept up to a bound, then
 * dropped and counted: a terminal that was stopped must not stop the service.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

struct sink {
    struct loop *loop; /* NULL: written at once */
    int fd;
    struct buf held;
    struct task flush;
    struct timer again;
    uint64_t dropped; /* lines, since the last line that went out */
    bool broken;      /* nobody will ever read it */
};

void sink_init(struct sink *, int fd);

/* From now on lines wait for the end of the turn. */
void sink_attach(struct sink *, struct loop *);

/* Writes out what it can, bounded in time, and goes back to writing at once. */
void sink_detach(struct sink *);

void sink_write(struct sink *, struct slice line);
