/*
 * datadir: the folder where nodey keeps what is its own.
 *
 * Only one nodey may use it at a time; it is the owner's alone, ignored by git, and
 * may be deleted while nodey is stopped.
 */
#pragma once

#include "base/err.h"

/*
 * Makes the folder and locks it; the lock ends with the process.  0, or -1 with a
 * sentence.
 */
int datadir_open(const char *path, struct err *) MUST_CHECK;

/* Makes a folder (0700) and those above it.  0 or -1 with a sentence. */
int datadir_make(const char *path, struct err *) MUST_CHECK;
