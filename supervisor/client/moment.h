/*
 * moment: a point in time as a person writes it.
 */
#pragma once

#include "base/err.h"

enum { MOMENT_TEXT = sizeof("2026-11-21T18:40:00.123456Z") };

/*
 * "10m" (so long ago), "2026-11-21T18:40:00Z", "2026-11-21T19:40:00.5+01:00", "2026-11-21
 * 10:00" and "2026-11-21" (by the local clock), "18:40" (today's), or seconds since 1970.
 * Writes it in UTC, in the form above.  0, or -1 with a sentence.
 */
int moment_read(const char *text, char out[MOMENT_TEXT], struct err *) MUST_CHECK;
