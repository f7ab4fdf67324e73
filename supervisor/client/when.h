/*
 * when: places in a log of messages, and times, as a person writes them.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum { WHEN_TEXT = sizeof("2026-11-21 18:40:00.123") };

/* A moment (see moment.h) as milliseconds since 1970.  0, or -1 with a sentence. */
int when_read(const char *text, int64_t *ms, struct err *) MUST_CHECK;

/* By the local clock: "18:40:00.123" when it is today, else with its date.  Returns `text`. */
char *when_write(char text[WHEN_TEXT], int64_t ms);
