/*
 * holder: which process listens on which TCP port of this machine.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"

/*
 * Writes "python3 (process 1234)" and returns true; false when nobody is found, or it is
 * another user's, whom only root may see.  Looks at a bounded number of processes.
 */
bool holder_find(unsigned port, char *text, size_t size);

/*
 * The TCP ports on which the processes of this group listen, at most `max` of them, in
 * ascending order; returns how many.  Bounded as above.
 */
size_t holder_ports(pid_t group, unsigned *ports, size_t max);
