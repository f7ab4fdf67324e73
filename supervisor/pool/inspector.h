/*
 * inspector: where a busy Node process is, told by its own debugger.
 *
 * JavaScript that never comes back to its event loop answers no signal handler of its own, but
 * Node's SIGUSR1 starts its debugger on a thread of its own, which says on stderr where it
 * listens (a free port of loopback, if the SDK has asked for that).  Over its WebSocket it is
 * told to pause, and answers with the stack.  A process costs this nothing until it is asked.
 */
#pragma once

#include "base/slice.h"

struct inspector;
struct loop;

/* Is this a line of Node's own about its debugger, and nothing that the program says? */
bool inspector_is_chatter(struct slice line);

/* Is it the one that says that it cannot listen? */
bool inspector_has_failed(struct slice line);

/*
 * Connects to the debugger that `line` tells of, and pauses the process.  `found` comes once,
 * from the loop: its stack, a line for each call, innermost first; empty when there is none to
 * be had.  NULL when the line names no address of loopback.
 */
struct inspector *inspector_open(struct loop *, struct slice line,
                                 void (*found)(void *owner, struct slice stack), void *owner);

/* At once; `found` will not come.  Also after it.  Takes NULL. */
void inspector_close(struct inspector *);

/*
 * Reads one message of the debugger: a script that it knows goes to `scripts`, the stack of
 * "Debugger.paused" is appended to `stack`.  True when it was that one.
 */
struct buf;
bool inspector_read(struct slice message, struct buf *scripts, struct buf *stack);
