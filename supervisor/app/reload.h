/*
 * reload: the configuration loaded again, and only what it changes applied.
 *
 * Pools whose programs start otherwise are renewed, others merely get their new
 * settings, new ones start, and those that are gone answer what they have and end.  A
 * configuration that cannot be loaded changes nothing.
 */
#pragma once

#include "app/events.h"
#include "app/gateway.h"
#include "app/live.h"
#include "app/routes.h"
#include "app/sdk.h"
#include "loop/sig.h"

/* What a reload works on; all of it outlives it. */
struct reload_host {
    const char *file;   /* for config_load_listening() */
    const char *listen; /* the same; NULL: as configured */
    struct config **config;
    const struct sdk *sdk;
    struct loop *loop;
    struct pools *pools;
    struct routes *routes;
    struct gateway *gateway;
    struct events *events;
    struct http_server *server;
    bool at_terminal;           /* then SIGHUP may mean that it was closed, which ends nodey */
    void (*applied)(void *arg); /* the pools, the routes and *config are new */
    void (*loading)(void *arg, bool begins); /* around each reload_run() */
    void *arg;
};

struct reload {
    struct reload_host host;
    struct live live;
    struct sig hangup;
    char trouble[512]; /* what was wrong with the configuration last */
    bool stopped;
};

/*
 * From now on SIGHUP reloads; watching: also any change of a file that matters.  Copies
 * the host.
 */
void reload_start(struct reload *, bool watching, const struct reload_host *);

/* Nothing is loaded any more; SIGHUP still does no harm until reload_end(). */
void reload_stop(struct reload *);
void reload_end(struct reload *);

/*
 * Loads and applies the configuration, and renews the pools whose programs have changed.
 * 0, and a line (with LF) in `report` for each thing that changed; or -1 with a
 * sentence, and nothing has changed.
 */
int reload_run(struct reload *, struct buf *report, struct err *) MUST_CHECK;

/* The front's options for a configuration; borrows from it. */
struct http_options reload_http_options(const struct config *, struct http_handler *);
