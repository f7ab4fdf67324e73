/*
 * gateway: HTTP requests become calls to pools, and their answers responses.
 */
#pragma once

#include "app/access.h"
#include "app/routes.h"
#include "http/server.h"

struct gateway {
    struct http_handler handler; /* give this to the server */
    struct routes *routes;
    struct loop *loop;
    struct access *access;
    struct buf line; /* reused for each request's line */
    struct buf body; /* reused for each answer's body */
};

void gateway_init(struct gateway *, struct loop *, struct routes *, struct access *);
void gateway_deinit(struct gateway *);
