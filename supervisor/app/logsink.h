/* logsink: where the lines of nodey's log go; each is a sink for log_setup(). */
#pragma once

#include "base/slice.h"

/* To the struct sink that `sink` points at. */
void logsink_plain(void *sink, struct slice line);

/* The same, dimmed: of a run for one command, whose own words stand out. */
void logsink_dimmed(void *sink, struct slice line);

/* To nobody: in the background only the log files are written. */
void logsink_nobody(void *unused, struct slice line);
