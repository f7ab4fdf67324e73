/*
 * text: strings and paths on their way into a nodey.toml.  Pure, but for path_exists().
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"

/* As printf, in the arena. */
char *text_format(struct arena *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends it in quotes, as TOML has it. */
void text_add_toml(struct buf *, struct slice);

/* Appends a list of them: ["a", "b"]. */
void text_add_list(struct buf *, const struct string_list *);

/* Appends a key, in quotes where it needs them. */
void text_add_key(struct buf *, struct slice);

/* Appends the sentence as lines of a comment, each with `before` in front: "# ". */
void text_add_comment(struct buf *, const char *before, const char *sentence);

/* With "$" doubled, so that nothing is filled in. */
struct slice text_literal(struct arena *, struct slice);

/* A word as a shell has it, in quotes where it needs them. */
void text_add_shell_word(struct buf *, struct slice);

/* Whether a shell would do more with this line than to split it into words. */
bool text_needs_shell(struct slice line);

/*
 * The text with variables of `vars` ("NAME=value") filled in, as Dockerfiles have them:
 * $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word}.  What is not among them becomes empty.
 */
struct slice text_expand(struct arena *, struct slice, const struct string_list *vars);

/* Adds a word; the list grows in the arena. */
void text_list_add(struct arena *, struct string_list *, const char *word);

/* The value of the last "NAME=value" of the list; NULL: it has none. */
const char *text_variable(const struct string_list *, struct slice name);

/* A port or another small number; 0: it is none. */
unsigned text_number(struct slice);

/* `path`, from `dir` if it is relative, without "." and ".." in it. */
char *path_join(struct arena *, const char *dir, const char *path);

/* How `path` is called from the folder `dir`, both absolute: "../shop", "." itself. */
char *path_from(struct arena *, const char *dir, const char *path);

/* What is left of `path` below `folder`: "" for itself; NULL: it is not there. */
const char *path_below(const char *folder, const char *path);

bool path_is_folder(const char *);
bool path_exists(const char *);
