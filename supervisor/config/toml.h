/*
 * toml: a TOML 1.0 document as a tree of plain C nodes.
 *
 * The grammar is toml++'s business and this tree is all that nodey sees of it.
 * Nodes and their strings live in the arena.  The members of a table stand in the
 * order of the file, so that the first error a reader meets is the first error
 * that the person who wrote the file meets.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum {
    TOML_MAX_FILE = 4 * 1024 * 1024, /* bytes */
    TOML_MAX_VALUE_DEPTH = 64,       /* arrays and inline tables inside each other */
    TOML_MAX_KEY_DOTS = 16,          /* of one dotted key or one table's header */
};

enum toml_type {
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOL,
    TOML_DATE, /* dates, times and both; nodey has no use for their values */
    TOML_ARRAY,
    TOML_TABLE,
};

/* Counted from 1; a column is a character, not a byte. */
struct toml_place {
    unsigned line;
    unsigned column;
};

struct toml_node {
    struct toml_node *next; /* in the same table or array */
    struct slice key;       /* of a table's member; may hold any character, NUL too */
    struct toml_place key_at;
    struct toml_place at; /* of a table with a header: the header */
    enum toml_type type;
    struct slice written; /* of a string that was interpolated: as it stands in the file */

    union {
        struct slice string; /* terminated by a NUL, and may hold others */
        int64_t integer;
        double real;
        bool boolean;

        struct {
            struct toml_node *first;
            size_t count;
        } items; /* of arrays and tables */
    };
};

/*
 * Returns the root table, or NULL with "file:line:column: cause".  Never crashes
 * and never takes long, whatever the bytes are: size and depth are bounded.
 */
struct toml_node *toml_parse(struct arena *, struct slice text, const char *file, struct err *);

/* The member of that name, or NULL. */
const struct toml_node *toml_get(const struct toml_node *table, const char *key);
