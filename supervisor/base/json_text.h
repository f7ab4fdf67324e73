/*
 * json_text: what the parts of json know about the text inside a string.
 */
#pragma once

#include "base/base.h"

/* Passes the ASCII characters that stand for themselves inside a string. */
const char *json_skip_plain(const char *p, const char *end);

/*
 * Reads the escape whose backslash is at p: its length, 0 when it is none.  A surrogate
 * without its other half comes out as it is.
 */
size_t json_read_escape(const char *p, const char *end, uint32_t *point);

static inline bool json_is_surrogate(uint32_t point)
{
    return point >= 0xD800 && point <= 0xDFFF;
}
