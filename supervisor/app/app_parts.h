/*
 * app_parts: what the files of app share.  Nobody else includes it.
 *
 *   app.c          makes all that there is, in order, and lets go of it
 *   app_observer.c hears what happens to workers, and tells whom it concerns
 *   app_stop.c     when nodey ends, and what ends before what
 */
#pragma once

#include "app/access.h"
#include "app/app.h"
#include "app/busdoor.h"
#include "app/confined.h"
#include "app/control.h"
#include "app/discreet.h"
#include "app/errorpage.h"
#include "app/events.h"
#include "app/flowgraph.h"
#include "app/gateway.h"
#include "app/incidents.h"
#include "app/logbook.h"
#include "app/notify.h"
#include "app/probe.h"
#include "app/reload.h"
#include "app/routes.h"
#include "app/sdk.h"
#include "app/story.h"
#include "app/tail.h"
#include "loop/sig.h"

enum { EXIT_KILLED = 128 }; /* and the signal's number */

#define APP_WHO "nodey" /* who says what no worker says, in the log */

struct app {
    struct config *config;
    const struct app_options *options;
    bool dev;
    bool watching;
    struct loop loop;
    struct sink err;
    struct sink out;
    struct sdk sdk;
    char **env;
    char **bare_env;
    struct pool_observer observer;
    struct pools pools;
    struct probes probes;
    struct confined confined;
    struct routes routes;
    struct access access;
    struct gateway gateway;
    struct logbook logbook;
    struct tails tails; /* what workers said last, in development */
    struct incidents incidents;
    struct errorpage errors;
    struct events events;
    struct flowgraph flowgraph;
    struct story story;
    struct busdoor busdoor;
    struct http_server *server;
    struct reload reload;
    struct control control;
    struct notify notify;
    struct discreet discreet;
    int passed; /* a listening socket from a service manager, or -1 */
    struct state state;
    struct timer patience;
    bool listening;
    int exit_code;

    /* Of app_stop.c; the others only ask whether it stops. */
    bool stopping;
    struct sig term;
    struct sig interrupt;
    struct timer limit;
    uint64_t asked_ms;   /* when the first signal to stop came */
    uint64_t push_at_ms; /* when workers are told to stop, whatever is open */
    uint64_t stop_at_ms; /* when everything must have ended */
};

/* ------------------------------------------------------------------- app.c */

/* Every pool has settled, or there is none: clients may come.  Once. */
void app_open_port(struct app *);

/* What a service manager is told of programs and of the address may be another. */
void app_tell_manager(struct app *);

/* ---------------------------------------------------------- app_observer.c */

/*
 * Makes app->observer, who hears of the pools: before the first of them.  It decides nothing
 * but who is told what, in which order; words of workers are masked before anybody sees them.
 */
void app_observe(struct app *);

/* -------------------------------------------------------------- app_stop.c */

/* From now on SIGTERM and SIGINT stop nodey; a second one ends it at once. */
void app_obey_signals(struct app *);

/*
 * Begins the end, in `limit_ms` (0: shutdown_timeout): the port is closed, requests under way
 * get most of that time, workers the rest.  For who has seen that app->stopping is not set.
 */
void app_stop(struct app *, uint64_t limit_ms);

/* No process of a worker is left: closes what keeps the loop running. */
void app_end(struct app *);
