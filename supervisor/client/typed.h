/*
 * typed: a request as a person types it.
 *
 *   GET /fib?num=10        /fib?num=10        POST /users {"name":"Ann"}
 *
 * The method may be left out: GET, or POST when there is a body.  What a request line
 * cannot hold (blanks, other scripts) is percent-encoded.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct typed {
    const char *method; /* NULL when none was typed */
    const char *target; /* NULL when none was typed */
    struct slice body;  /* may be empty; borrows from the text */
};

/*
 * Reads a request; with `has_body` what follows the target may be one.  0, or -1 with a
 * sentence that says how to write it.  Everything else is in the arena.
 */
int typed_read(struct typed *, struct arena *, struct slice text, bool has_body,
               struct err *) MUST_CHECK;

/* Is it a method's name alone: "GET"? */
bool typed_is_method(const char *word);

/* What a body is when nobody says: JSON, text, or only bytes. */
const char *typed_content_type(struct slice body);
