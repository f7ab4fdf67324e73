/*
 * passed: a listening socket that a service manager has opened for us (socket activation).
 *
 * LISTEN_FDS descriptors from 3 on, if LISTEN_PID is this process, and LISTEN_FDNAMES their
 * names.  The manager keeps them open: while nodey restarts, connections wait and none is
 * refused.
 */
#pragma once

#include "base/base.h"

/*
 * Returns the descriptor to serve on instead of binding `address`, or -1: that which is bound
 * to the address, or else is called "nodey" or "http", or else the first that listens; others
 * are closed.  Says in the log what was passed.  Children inherit none of it, nor the
 * variables, which are removed.  To be called before anything is opened.
 */
int passed_take(const char *address);
