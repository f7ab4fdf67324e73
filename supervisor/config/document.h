/*
 * document: one file of a configuration, with the .env beside it, and the files that it
 * includes.
 *
 * The first document is the one that was named, or a folder without a file.  The others
 * follow in the order in which they are included, each after the one that includes it.
 * The strings of their trees are interpolated already.
 */
#pragma once

#include <sys/types.h>

#include "config/dotenv.h"
#include "config/reader.h"

enum { DOCUMENT_MAX_DEPTH = 8, DOCUMENT_MAX_COUNT = 256 };

struct document {
    struct reader reader;          /* the name of its file, and its folder */
    const struct toml_node *root;  /* NULL: a folder without a file */
    const struct dotenv *env;      /* of its folder; borrowed when its includer's is the same */
    const struct document *parent; /* who includes it; NULL for the first */
    struct toml_place included_at; /* in the parent */
    unsigned depth;
    dev_t device; /* which file it is, whatever its name */
    ino_t inode;
};

struct documents {
    struct document *items[DOCUMENT_MAX_COUNT];
    size_t count;
};

/*
 * Reads `file` (NULL: the current folder without one) and what it includes.  Everything
 * lives in the arena, and the documents' readers keep the journal and err.  0, or a
 * sentence.
 */
int documents_read(struct documents *, struct arena *, const char *file, struct journal *,
                   struct err *) MUST_CHECK;

/* "nodey.toml:3:5", for sentences about two places; in the arena. */
const char *document_place(const struct document *, struct toml_place);
