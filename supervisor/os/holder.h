/*
 * holder: which process listens on a TCP port of this machine.
 */
#pragma once

#include "base/base.h"

/*
 * Writes "python3 (process 1234)" and returns true; false when nobody is found, or it is
 * another user's, whom only root may see.  Looks at a bounded number of processes.
 */
bool holder_find(unsigned port, char *text, size_t size);
