/*
 * value: the small languages inside settings: "1m30s", "512K", "a 'b c'".  Pure.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"

enum value_verdict {
    VALUE_GOOD,
    VALUE_BAD,  /* not of this kind at all */
    VALUE_BARE, /* a number without its unit */
    VALUE_HUGE, /* does not fit 64 bits */
};

/*
 * "300ms", "30s", "1m30s", "2h", "1d": whole numbers, units from the larger to the
 * smaller, each at most once; also "us" when `fine`.  "0" and "off" are 0.
 */
enum value_verdict value_duration(struct slice, bool fine, uint64_t *us);

/* "512K", "8M", "1G", "64KiB", in either case; a plain number counts bytes. */
enum value_verdict value_size(struct slice, uint64_t *bytes);

/* Write what the two above read: "1m30s", "64K". */
void value_add_duration(struct buf *, uint64_t us);
void value_add_size(struct buf *, uint64_t bytes);

/*
 * Splits as a shell splits: blanks separate, quotes and backslashes group; nothing
 * is expanded.  NULL, or a static sentence that says what is wrong with the text.
 * The words live in the arena.
 */
const char *value_words(struct slice text, struct arena *, struct string_list *out);

/* A character that no path, name or line of a log may contain. */
bool value_is_control(char c);

/* The text in quotes, printable and cut to a sentence's measure; in the arena. */
const char *value_quote(struct arena *, struct slice text);

/* An empty list that has its NULL at the end. */
struct string_list string_list_none(struct arena *);

/* A copy of these; the words themselves are borrowed. */
struct string_list string_list_of(struct arena *, const char *const *words, size_t count);

/* The word that somebody may have meant: init, offer candidates, read `best`. */
struct nearest {
    struct slice word;
    const char *best; /* NULL: nothing is near; borrows from what was offered */
    unsigned distance;
};

/* How many slips of the keyboard apart, case aside; of long words the beginning counts. */
unsigned nearest_distance(struct slice, struct slice);

struct nearest nearest_init(struct slice word);
void nearest_offer(struct nearest *, const char *candidate);
