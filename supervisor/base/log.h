/*
 * log: one line for a person or a machine, to a sink that is set once.
 *
 * Rooms below app/ do not log above debug: whoever decides what to do about a
 * thing logs it, once, with identity and consequence.
 */
#pragma once

#include "base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Gets whole lines, LF included. */
typedef void (*log_sink_fn)(void *arg, struct slice line);

/* Process-wide; before threads start.  json: one object a line instead of text. */
void log_setup(enum log_level level, bool json, bool colour, log_sink_fn sink, void *arg);

bool log_enabled(enum log_level level);

/* "who" is what it is about ("fib#0", "nodey"); the message is printf-like, without LF. */
void log_line(enum log_level level, const char *who, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A line that a worker wrote: `text` is cut at 8 KiB and made printable. */
void log_text(enum log_level level, const char *who, const char *stream, struct slice text);
