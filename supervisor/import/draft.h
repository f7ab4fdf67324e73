/*
 * draft: the nodey.toml that an import makes, and what is to be said about it.
 *
 * Whoever reads a format writes sections into `out`, and says what gets lost: as a
 * comment where it stood, and to the person who imports.
 */
#pragma once

#include "import/text.h"
#include "import/tree.h"

enum { DRAFT_MAX_REMARKS = 1000 };

/* What a person is told on standard error. */
struct remark {
    const char *place; /* "compose.yaml:3"; or "" */
    const char *text;
};

struct draft {
    struct arena arena;
    struct buf out;
    const char *dir;  /* absolute: the folder that the nodey.toml is for */
    struct buf lost;  /* of struct remark: what could not be carried over */
    struct buf to_do; /* of struct remark: what a person must still do */
    struct err *err;
};

void draft_deinit(struct draft *);

/*
 * Not carried over: said on standard error with the node's place (NULL: without one), and
 * at once as a comment in the draft.
 */
void draft_lost(struct draft *, const struct tree *, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same of what a person has yet to do. */
void draft_to_do(struct draft *, const struct tree *, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What was written from that length of `out` on becomes a comment. */
void draft_hide(struct draft *, size_t from);

/* A comment only. */
void draft_comment(struct draft *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Lines of the section that is being written. */
void draft_string(struct draft *, const char *key, struct slice value);
void draft_list(struct draft *, const char *key, const struct string_list *);
void draft_line(struct draft *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A path, absolute or from `dir`, as the nodey.toml has to call it. */
const char *draft_path(struct draft *, const char *dir, const char *path);

/* A name that a program may have here: the same, but for a character that must not be first. */
const char *draft_name(struct draft *, struct slice name);

/* "[services.NAME]", with an empty line before it. */
void draft_section(struct draft *, const char *name);

/* "[services.NAME.env]" with these variables, if there are any. */
void draft_env(struct draft *, const char *name, const struct string_list *env);

/* "[[routes]]": the path to a service, and from which prefix on it sees it; or NULL. */
void draft_route(struct draft *, const char *path, const char *to, const char *strip);
