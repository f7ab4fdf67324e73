/*
 * html: text made safe for a page, and pages made of the pieces in app/page/.
 */
#pragma once

#include "base/buf.h"

/*
 * Appends text for an element's content or a quoted attribute: nothing in it can become
 * markup.  Bytes that are no UTF-8 and control characters are shown as U+FFFD; a
 * terminal's colours are left out.
 */
void html_text(struct buf *, struct slice text);

/* Appends the HTML given, its %s and %.*s replaced as text. */
void html_addf(struct buf *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What stands for {{key}} in a page. */
struct html_value {
    const char *key;
    struct slice text;
    bool is_html; /* goes in as it is */
};

/* Appends the piece `name`, its {{keys}} replaced; keys that nobody gives are left out. */
void html_fill(struct buf *, const char *name, const struct html_value *values, size_t count);

/* The piece of that name, which exists. */
struct slice html_piece(const char *name);
