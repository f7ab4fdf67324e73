/*
 * err: what went wrong, in a sentence for a person.
 *
 * The last parameter of functions whose failure a person must read.  `code` is a
 * negative libuv code or -1; `text` names the value and where it came from.
 */
#pragma once

#include "base/base.h"

struct err {
    int code;
    char text[512];
};

/* Fills in the sentence (cut to fit) and returns `code`. */
int err_set(struct err *, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
