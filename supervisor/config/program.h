/*
 * program: which files and folders are programs for nodey, and which merely lie there.
 *
 * A script in `workers/` may as well be a module of others, a test or a tool; starting
 * those would be wrong.  What speaks to nodey says so in its text.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/script.h"

enum {
    PROGRAM_TEXT_MAX = 256 * 1024, /* bytes of a file that are looked at */
    PROGRAM_FILES_MAX = 200,       /* entries of a folder */
};

/* Appends the first `max` bytes of a regular file; nothing when it cannot be read. */
void program_read(const char *path, size_t max, struct buf *text);

/* By the extension; of a file without one, as bin/www, also by its first line. */
enum script_kind program_kind(const char *path);

/* It is a web app (webapp.h), or listens for one that a file beside it exports. */
bool program_is_app(const char *path);

/* What is nobody's program and not worth a word: private, hidden, installed, data. */
bool program_is_ignored(const char *name, bool folder);

/* What program_refuse_file() says of a script that could be one and does not say so. */
extern const char program_not_importing[];

/*
 * Why the file is no program, as a static sentence ("a test"); NULL when it is one: a
 * script that mentions nodey as a word, or writes {"type":"ready"} itself, or makes a web
 * app (webapp.h), or says by "#!" and its mode that it is to be run.
 */
const char *program_refuse_file(const char *path);

/*
 * The file that starts a folder which is one program, absolute and in the arena: the
 * `main` of its package.json, what its script `start` runs, or one of the names that Node
 * and Python know.  NULL when
 * it is no such folder; `*why` is then NULL, or a sentence when it wants to be one.
 */
const char *program_main(struct arena *, const char *folder, const char **why);

/* The main file is a web app, or a file of the folder, or beside it, mentions nodey. */
bool program_folder_speaks(const char *folder, const char *main);
