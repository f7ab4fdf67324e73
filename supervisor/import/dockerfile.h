/*
 * dockerfile: what a Dockerfile says about running: its last stage, or one by name.
 *
 * Where the image comes from is not looked at; what building it did is kept, so that a
 * person can be told to do the same.
 */
#pragma once

#include "import/draft.h"

enum { DOCKERFILE_MAX_FILE = 256 * 1024, DOCKERFILE_MAX_STAGES = 32 };

/* COPY and ADD, one for each source. */
struct docker_copy {
    const char *from; /* a stage; NULL: the folder itself */
    const char *source, *target;
    bool is_folder_copy; /* the source is no single file by its name */
};

struct docker_stage {
    const char *name; /* "" without one */
    const char *base; /* image or stage */
    const char *workdir;
    struct string_list env;                 /* "NAME=value" */
    struct string_list command, entrypoint; /* argv; a shell's line is "/bin/sh", "-c", line */
    struct string_list expose;              /* "3000/tcp" */
    struct string_list runs;
    struct string_list lost; /* instructions that are not understood, as they stand */
    struct docker_copy *copies;
    size_t copy_count;
    const char *user, *stop_signal;    /* NULL: not said */
    struct string_list health;         /* as compose's test */
    struct string_list health_options; /* "interval=3s" */
};

struct dockerfile {
    struct docker_stage stages[DOCKERFILE_MAX_STAGES];
    size_t count;
    const struct docker_stage *last; /* the one that runs */
};

/*
 * Reads the file at `path`.  `args`, "NAME=value", are the build's; `target` a stage's name
 * or NULL.  0, or -1 with a sentence, and err->code -ENOENT when it is not there.
 */
int dockerfile_read(struct arena *, const char *path, const char *shown,
                    const struct string_list *args, const char *target, struct dockerfile *,
                    struct err *) MUST_CHECK;

/* The stage of that name or number, or NULL. */
const struct docker_stage *dockerfile_stage(const struct dockerfile *, const char *name);
