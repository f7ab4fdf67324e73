/*
 * dotenv: files of NAME=value lines: .env beside a configuration, and env_file.
 *
 *   # a comment                 export NAME=value       NAME: value
 *   NAME=plain text  # blanks before the # make this a comment; both ends are trimmed
 *   NAME='exactly this, $ and \ too'      NAME="a\nb, ${OTHER}"      NAME (as in the
 * environment)
 *
 * Quoted values may have several lines; \n \r \t \" \\ \$ are known between double
 * quotes.  Variables are filled in as in the configuration (interpolate.h) but between
 * single quotes; a "$" that begins none is one.  CRLF and a byte order mark are fine.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/journal.h"

enum {
    DOTENV_MAX_FILE = 1024 * 1024,     /* bytes */
    DOTENV_MAX_VARIABLES = 1024,       /* of one file */
    DOTENV_MAX_ENTRY = 128 * 1024 - 1, /* of NAME=value: what the kernel lets a program have */
};

struct variable {
    const char *entry; /* "NAME=value" */
    struct slice name;
    const char *value;
    unsigned line;
};

struct dotenv {
    const char *file; /* as people know it; NULL: there is none */
    struct variable *items;
    size_t count;
    /*
     * Another one that wins over this one: that of the file which includes this one's
     * configuration.  NULL: only the environment wins.
     */
    const struct dotenv *outer;
};

/* The last variable of that name in this file alone, or NULL. */
const struct variable *dotenv_find(const struct dotenv *, struct slice name);

/*
 * What a name stands for: the environment first, then the outermost file's, at last this
 * one's.  NULL: not set.  `env` is a struct dotenv: for struct interpolation.
 */
const char *dotenv_look_up(const void *env, struct slice name);

/* The same for names that end in a NUL; *from is the file it stands in, or NULL. */
const struct variable *dotenv_look_up_file(const struct dotenv *, struct slice name,
                                           const struct dotenv **from);

/*
 * Reads the text into out->items; out->outer is set before.  `own_first`: the file's own
 * earlier lines win over the environment where its values use variables, as in an
 * env_file, whose values win in the end too.  0, or a sentence with file:line:column.
 */
int dotenv_parse(struct arena *, struct slice text, const char *file, bool own_first,
                 struct journal *, struct dotenv *out, struct err *) MUST_CHECK;

/*
 * Reads the file at `path`, called `shown`.  -ENOENT, with a sentence too, when it is
 * not there.
 */
int dotenv_read(struct arena *, const char *path, const char *shown, bool own_first,
                struct journal *, struct dotenv *out, struct err *) MUST_CHECK;
