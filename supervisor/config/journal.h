/*
 * journal: what a load came across: notes for people, and the files that it looked at.
 *
 * The same note or file is kept once.  Everything that is kept lives in the arena.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"

enum { JOURNAL_MAX_NOTES = 50 };

struct journal {
    struct arena *arena;
    struct buf notes; /* of const char * */
    struct buf files; /* of const char * */
    size_t dropped;   /* notes beyond what is kept */
};

void journal_note(struct journal *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* An absolute path, of a file that was read or would have been, had it been there. */
void journal_file(struct journal *, const char *path);

/* What was gathered, each ended by a NULL. */
struct string_list journal_notes(struct journal *);
struct string_list journal_files(struct journal *);

/* Frees what is not in the arena. */
void journal_deinit(struct journal *);
