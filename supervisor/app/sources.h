/*
 * sources: the files that a program is made of, as far as anybody can tell: its script or
 * the file that a service's command names, what the program says that it has loaded, what
 * `watch` names, and until it serves all that lies around the script.
 */
#pragma once

#include "config/config.h"
#include "pool/pool.h"

/* A file, or a folder for what is created or removed in it. */
struct source {
    char *path;
    uint64_t stamp; /* see stamp_of(); SOURCES_WALKED: of a folder whose files are all here */
    uint64_t mtime_ns;
    bool is_folder;
    bool around; /* nobody has said that it is a part of the program */
};

enum { SOURCES_WALKED = 1 };

struct sources {
    struct source *items; /* sorted by path once they are complete */
    size_t count;
    size_t cap;
};

/* whole: also what lies around the script, and where packages are installed to. */
struct sources sources_of(const struct pool *, const struct config *, bool whole);
void sources_deinit(struct sources *);

/* The one of that path, or NULL; only among those that are sorted. */
const struct source *sources_find(const struct sources *, const char *path);

/* Appends, and takes the stamp of what is there now. */
void sources_add(struct sources *, const char *path, bool is_folder);

/* "/a/b" of "/a/b/c"; the caller frees it. */
char *sources_folder(const char *path);
