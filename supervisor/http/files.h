/*
 * files: regular files below a folder, and nothing beside it.
 *
 * A name is what a client asks for, below the folder and without a slash in front.  It may be
 * anything: what climbs out of the folder, by dots or by symbolic links, is not there.  Links
 * that end within the folder are followed.  The folder is opened anew each time, so that it may
 * be replaced as a whole.
 */
#pragma once

#include <sys/stat.h>

#include "base/slice.h"

enum files_kind {
    FILES_NONE,   /* nothing that may be served */
    FILES_FILE,   /* a regular file that can be read */
    FILES_FOLDER, /* a folder within */
};

struct file {
    int fd; /* the caller's to close; -1 unless it is a FILES_FILE */
    struct stat st;
};

/* A folder that is open for a moment. */
struct folder {
    const char *path;
    int fd;
};

/* False when it is no folder, or not any more. */
bool folder_open(struct folder *, const char *path) MUST_CHECK;
void folder_close(struct folder *);

/*
 * Whether a name may be asked for at all: at most FILES_NAME_MAX bytes, no empty segment but a
 * last one, none that begins with a dot (but for ".well-known" in front), no backslash and no
 * NUL.
 */
enum { FILES_NAME_MAX = 4000 };

bool files_name_valid(struct slice name);

/* Opens what has this valid name; an empty one is the folder itself. */
enum files_kind files_open(const struct folder *, struct slice name, struct file *);
