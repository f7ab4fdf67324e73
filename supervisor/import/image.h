/*
 * image: what nodey makes of well-known images, by their names.
 */
#pragma once

#include "import/draft.h"

enum image_kind {
    IMAGE_UNKNOWN,
    IMAGE_SERVER,   /* a database or the like, which the distribution has too */
    IMAGE_RUNTIME,  /* only what runs the programs of others: node, python ... */
    IMAGE_WEB,      /* a web server: for files it is a route here */
    IMAGE_REPLACED, /* nodey does this itself */
};

struct image {
    const char *names; /* separated by blanks, without registry and version */
    enum image_kind kind;
    unsigned port;        /* where it listens; 0: it says so itself */
    const char *program;  /* of its own command: what `command` may begin with */
    const char *packages; /* what to install; or the sentence why there is nothing to be */
    /*
     * A line for a shell.  "{port}" stands for the port, "{data}" for a folder of its own,
     * "{args}" for further arguments.
     */
    const char *line;
    const char *env;  /* "NAME={port}" for the checks of its health, or NULL */
    const char *user; /* who it must run as, where nodey runs as root; or NULL */
};

/* "docker.io/library/redis:7-alpine" is redis; NULL: nobody knows it. */
const struct image *image_find(const char *reference);

/* The name without registry and version; in the arena. */
const char *image_name(struct arena *, const char *reference);

/* The line, with all filled in, as a value of nodey.toml ("$" doubled); in the arena. */
struct slice image_line(struct arena *, const char *line, const char *port, const char *data,
                        const struct string_list *args);
