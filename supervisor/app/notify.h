/*
 * notify: what a service manager is told of this nodey (systemd's sd_notify protocol).
 *
 * A datagram of NAME=value lines to the socket that NOTIFY_SOCKET names.  Without one all of
 * this does nothing.  A manager that does not take them is no failure: nothing waits for it.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "loop/timer.h"

struct loop;
struct pools;

struct notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un to;
    socklen_t to_len;
    struct loop *loop;
    struct timer beat;
    uint64_t beat_ms; /* between two signs of life; 0: none are wanted */
    bool opened;      /* the port has been */
    bool stopping;
    char status[256]; /* as it was told last */
};

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment:
 * no child is to speak for us.
 */
void notify_init(struct notify *);

/* From now on signs of life come from the loop, at twice the pace that is asked for: one that
 * hangs is found. */
void notify_start(struct notify *, struct loop *);

/* The port is open.  Also names this process, for who was started by another one. */
void notify_ready(struct notify *);

/* Between these two the configuration is loaded again.  Nothing before notify_ready(). */
void notify_reloading(struct notify *);
void notify_reloaded(struct notify *);

/* A sentence for people, told when it is another than before. */
void notify_status(struct notify *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* That sentence: where is served, and how many programs are ready, fail or rest. */
void notify_programs(struct notify *, const struct pools *, const char *url);

/* nodey ends, from its own will or another's. */
void notify_stopping(struct notify *);

/* Closes the socket; the signs of life end. */
void notify_deinit(struct notify *);
