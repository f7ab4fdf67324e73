/*
 * executable: whether the commands of a configuration can be run here.
 *
 * Found out before anything is started or replaced: a name with a slip of the pen must not cost
 * the process that serves.
 */
#pragma once

#include "config/config.h"

/*
 * Every configured command must be a file that may be executed: a name is looked for as its
 * process would look, in the PATH of its own environment or else of nodey's, a path from its
 * cwd.  Left out is what nodey itself has put together, and a path that something may make
 * which is to complete before.  `dormant`: also the programs that have profiles.
 * 0, or a negative code with place and sentence.
 */
int executable_check(const struct config *, bool dormant, struct err *) MUST_CHECK;
