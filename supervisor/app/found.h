/*
 * found: a file that a request asks for, and how it is sent.
 */
#pragma once

#include <limits.h>

#include "app/gateway.h"
#include "http/files.h"
#include "http/negotiate.h"

/* A request for a file. */
struct asked {
    struct gateway *gateway;
    struct exchange *exchange;
    const struct http_request *request;
    const struct route_config *route;
    struct folder root; /* open once it was needed, else -1 */
    struct slice name;  /* below the root */
    struct slice range; /* of a GET; empty: all of it is wanted */
};

/* The file, or what lies beside it in a coding. */
struct found {
    struct file file;
    struct slice kept; /* its contents, when they are at hand; then there is no descriptor */
    struct slice name; /* without the coding's suffix */
    enum coding coding;
    bool packed; /* no coding is looked for */
};

/* Writes the absolute path.  False when it is too long to be one. */
bool found_path(const struct asked *, const struct found *, char path[PATH_MAX]);

/* Closes it. */
void found_close(const struct found *);

/* Nodey's own words. */
void found_fail(const struct asked *, unsigned status, const char *detail);

/* Answers as the request's conditions and ranges say, and closes it. */
void found_send(const struct asked *, const struct found *);
